import { createTransport } from 'nodemailer';
import type { Mail, MailRelay } from '../../core/ports.ts';

/** Lambda ends the function after a minute: this leaves time to say why. */
const PATIENCE_MILLISECONDS = 15_000;

/**
 * Hands a mail to an SMTP relay; gives the recipients that it refused, while it took the mail for others. A certificate that is not valid is an
 * error, also with STARTTLS.
 */
export async function relayMail(
  { host, port, tls, user, password }: MailRelay,
  { from, to, subject, text }: Mail,
): Promise<readonly string[]> {
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
    const { rejected } = await transport.sendMail({ from, to: [...to], subject, text });
    return rejected;
  } finally {
    transport.close();
  }
}
