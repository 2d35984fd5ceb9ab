/** EC2's codes for "not here, not now": the next type or zone may do. (EC2 API Reference, Error codes.) */
const codes = new Set([
  'InsufficientInstanceCapacity',
  'InsufficientHostCapacity',
  'InsufficientReservedInstanceCapacity',
  'InsufficientFreeAddressesInSubnet',
  'Unsupported',
]);

export const lacksCapacity = (error: unknown): error is Error =>
  error instanceof Error && codes.has(error.name);
