import { secretParameters } from '../../adapters/aws/secret-parameters.ts';
import { sesMail } from '../../adapters/aws/ses-mail.ts';
import { relayMail } from '../../adapters/smtp/relay-mail.ts';
import { httpWebhooks } from '../../adapters/web/webhooks.ts';
import { readEnvironment } from '../../core/function-environment.ts';
import { eventHandler, log } from '../edge/event.ts';
import { notify, notifyEvent } from './notify.ts';

const settings = readEnvironment('notify', process.env);
// Lambda sets it.
const { AWS_REGION: region = '' } = process.env;
const ses = sesMail(process.env, region);

export const handler = eventHandler(
  notifyEvent,
  notify({
    mailers: { sesVerified: ses.verified, ses: ses.send, relay: relayMail },
    webhooks: httpWebhooks,
    secrets: secretParameters(process.env, region),
    log,
    settings,
  }),
);
