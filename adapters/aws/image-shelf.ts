import {
  CreateTagsCommand,
  DeleteTagsCommand,
  DisableImageCommand,
  type EC2Client,
  EnableImageCommand,
} from '@aws-sdk/client-ec2';
import type { Shelf } from '../../core/ports.ts';

export const ec2ImageShelf = (ec2: EC2Client): Shelf => ({
  async disable(imageId) {
    await ec2.send(new DisableImageCommand({ ImageId: imageId }));
  },
  async enable(imageId) {
    await ec2.send(new EnableImageCommand({ ImageId: imageId }));
  },
  async mark(ids, key, value) {
    await ec2.send(new CreateTagsCommand({ Resources: [...ids], Tags: [{ Key: key, Value: value }] }));
  },
  async unmark(ids, key) {
    // Without a value: whatever it is (DeleteTags).
    await ec2.send(new DeleteTagsCommand({ Resources: [...ids], Tags: [{ Key: key }] }));
  },
});
