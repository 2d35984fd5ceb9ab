import { createTransport } from 'nodemailer';
import type { Mail, MailRelay } from '../../core/ports.ts';

/** Lambda ends the function after a minute: this leaves time to say why. */
const PATIENCE_MILLISECONDS = 15_000;

/** Hands a mail to an SMTP relay. A certificate that is not valid is an error, also with STARTTLS. */
export async function relayMail(
  { host, port, tls, user, password }: MailRelay,
  { from, to, subject, text }: Mail,
): Promise<void> {
  const transport = createTransport({
    host,
    port,
    secure: tls === 'tls',
    requireTLS: tls === 'starttls',
    ignoreTLS: tls === 'none',
    ...(user === undefined ? {} : { auth: { user, pass: password ?? '' } }),
    connectionTimeout: PATIENCE_MILLISECONDS,
    greetingTimeout: PATIENCE_MILLISECONDS,
    socketTimeout: PATIENCE_MILLISECONDS,
    // Neither files nor URLs are read for a mail.
    disableFileAccess: true,
    disableUrlAccess: true,
  });
  try {
    await transport.sendMail({ from, to: [...to], subject, text });
  } finally {
    transport.close();
  }
}
