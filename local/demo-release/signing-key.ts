/**
 * The key that signs the demo package repositories. It is published here, so it is worth nothing: whoever trusts its fingerprint
 * trusts everybody. It only shows that signatures are checked.
 */
import { createHash, createPublicKey, sign } from 'node:crypto';

const PRIVATE_KEY = `-----BEGIN PRIVATE KEY-----
MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQDXxakzzo+ZXnJg
2iw2F1xieD0dj7psESHcsrjt5ia7h5fr1pjR7j5a9wKEyg38EMHCSh2R1HPPNKcd
XctibzliOq0m+0MM/yf3D9b/SVyA6rhFSOobWl4tc7p/FlJT634ykA94nBZESiWX
/vkU+qSW9MqaXma7oDR4S3Nb26y1PY+x2QnSfPQdc8SW6YalwbYGGxPj9BHuuMeS
ZzKq4qOiZS4x5BA6GwumWgKf9TLj/a021LJSNRP/XJIaOdk3xK6TnUpjjhafUw6A
HX/0gnQ/HNY5+cnlcN02v06Gwf8dEF0WjdaCG7TjyXWAKwPS5ZdBzHkUFTr/PB9w
Un9E5TNFAgMBAAECggEAAsBWz6ii9MiwhVhNggRlktfc/PiCibLk5KSJbncl0p8A
VUCE7asFCTHnH/xXlfmSDuvVBAav0gTmMJ4BOZMY1I4npmdDy/Gg99SFivcg19VR
CN53exEkQZ4dKFZc3GG/V95gZCBRZF4xq9t+H5db6+oufy4UT0YpWnNT2D2tLm5s
MpDnUZxTdNtZxrFSUFcvApSzGVYgfZSwAWdTSi0oGdDhdt9papwJEUIP27OBxnIs
fOyjgKDa2AL3rgrPHlR4QLjXjll1tYWgeKHgLyxc1WTckI5LF+UCov8uo4bOFSe0
3T5SXHg+7JvuOOqj8AObzjuytVEb3jarteE5UkUZYQKBgQDrfb2XZRDs2oGIWxxl
mmog/NzL985xk25QXMAAJu4WzCw615UN6LAcQeCShJa3eKVPzV9Ou4qLbKQ3B2ca
WHiM9HKXGJfXskKRC28ioi1ipjl9nhLZTKpW/rD9yRCmyUfHDgLLk6vuGbCwXXyo
8MzzscOC4sqC7UR+J5V17Udw/QKBgQDqkEkGb/tGG5baf0TOBuajgZ9jLQW3umga
dkrGoaLGIZaa/1zo/LqUujXnpydL82Bzvq9cdft3qcDs/deZDCZF0EEusKmkbtnC
Tatbd/Jsp8m6aJUMuQMEbgcTJz6wQn0eKrHDT6rhysEA60Zyk8/I4fr9cCXmvVqa
EdI28CXh6QKBgE6XeF6+bBegFPrc7W07S5AW09l+qnddLMPFMI7cbzlMirZYnHY3
4g6MLda4SVSR/xnTAKvWCzbc2zFCVzaDsDfanSOwIXzrESw3FLAKT/tMXoN97ex3
maHO/mK0Z8pCAqJ8GpK2hfrAuCckDCaVttDd0tIrvkpTxTgVHdxthBpBAoGALGx/
KBT1ReXbwC3yXgK4k6btBN92AcHwDXLx3oSmS1f5KgnLEuUqgRhzNRhXPO8vCTzI
AX7mzVb9DuVUe8vtQ7OZZLpYpqfH3iDPn1csNp/geMlt0ScJB0G/XUVFfiRZhekY
GaFw/6piu0XT5cdQxv7lhjJDO1wJWLyfT4BT7GECgYEA3X/QaIPUCRlWwrSTrd+J
RdXrHiigUKNldTtmQz9O9MEK0ARxjMJq6/ArmWFouuDdk3xCSyphwPvMMloa+9g3
/e/mhKJbp0zQ/zcEKOAGnkWZWaXMXaHk8AzoPOCM8bk4l6IMscm+XUV6kLNCMuuT
+Lm9Cgwr9RtS8T7C8V2qakU=
-----END PRIVATE KEY-----
`;

/** PEM, in the very bytes that go into an archive: the fingerprint is the SHA-256 of them. */
export const PUBLIC_KEY = createPublicKey(PRIVATE_KEY).export({ type: 'spki', format: 'pem' }).toString();

export const FINGERPRINT = createHash('sha256').update(PUBLIC_KEY).digest('hex');

/** pkg-repo(8): what is signed is the SHA-256 of the catalogue in hexadecimal digits. RSA with PKCS #1 v1.5 makes no random choice. */
export function signCatalogue(catalogue: Buffer): Buffer {
  return sign('sha256', Buffer.from(createHash('sha256').update(catalogue).digest('hex')), PRIVATE_KEY);
}
