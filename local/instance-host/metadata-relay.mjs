// Between a connection of a machine to 169.254.169.254 (standard input and output) and the metadata service of its instance,
// whose port is the argument. QEMU starts one for each connection, so it is plain JavaScript, which starts soonest.
import { connect } from 'node:net';

const service = connect({ port: Number(process.argv[2]), host: '127.0.0.1', allowHalfOpen: true });
process.stdin.pipe(service);
service.pipe(process.stdout);
// Whoever hangs up first: there is nobody left to tell.
const end = () => process.exit(0);
service.on('error', end);
process.stdin.on('error', end);
process.stdout.on('error', end);
service.on('end', () => process.stdout.write('', end));
