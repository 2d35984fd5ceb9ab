import { CopyImageCommand, type EC2Client, paginateDescribeImages } from '@aws-sdk/client-ec2';
import type { ImageCopies } from '../../core/ports.ts';
import { toTagSpecification } from './tags.ts';

/** Copies into the region of the client. */
export const ec2ImageCopies = (ec2: EC2Client): ImageCopies => ({
  async copy({ clientToken, name, description, source, encryption, tags }) {
    const { ImageId } = await ec2.send(
      new CopyImageCommand({
        ClientToken: clientToken,
        Name: name,
        Description: description,
        SourceRegion: source.region,
        SourceImageId: source.imageId,
        ...(encryption === null
          ? {}
          : {
              Encrypted: true,
              ...(encryption.kmsKeyId === null ? {} : { KmsKeyId: encryption.kmsKeyId }),
            }),
        // Not CopyImageTags: the copy carries the name of the build that made it, not of the one that made its source.
        TagSpecifications: [toTagSpecification('image', tags), toTagSpecification('snapshot', tags)],
      }),
    );
    if (!ImageId) throw new Error('CopyImage returned no image id');
    return { imageId: ImageId };
  },

  async pending() {
    let count = 0;
    const query = { Owners: ['self'], Filters: [{ Name: 'state', Values: ['pending'] }] };
    for await (const { Images = [] } of paginateDescribeImages({ client: ec2 }, query))
      count += Images.length;
    return count;
  },
});
