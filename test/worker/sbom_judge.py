"""Validates CycloneDX 1.6 documents, one per line of standard input, against the official JSON schema, strictly; prints what is wrong."""

import sys

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

validator = JsonStrictValidator(SchemaVersion.V1_6)
status = 0
for number, line in enumerate(sys.stdin, 1):
    problem = validator.validate_str(line)
    if problem is not None:
        # The whole of it repeats the schema.
        print(f"document {number}: {str(problem).splitlines()[0]}")
        status = 1
sys.exit(status)
