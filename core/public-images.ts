/** "Public AMIs", what an account may have in a region before it asks for more (EC2 User Guide, "Quotas for AMIs"). */
export const publicImagesQuota = { service: 'ec2', code: 'L-0E3CBAB9', usually: 5 } as const;
