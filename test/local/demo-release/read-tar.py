"""Lists a tar file as JSON lines with Python's tarfile: a reader that shares nothing with the writer under test."""
import json
import sys
import tarfile

with tarfile.open(sys.argv[1]) as archive:
    for member in archive:
        print(json.dumps({
            "name": member.name, "type": member.type.decode(), "mode": member.mode, "uid": member.uid, "gid": member.gid,
            "uname": member.uname, "gname": member.gname, "size": member.size, "link": member.linkname,
            "mtime": member.pax_headers.get("mtime", str(int(member.mtime))),
            "flags": member.pax_headers.get("SCHILY.fflags", ""),
            "stored": sum(length for _, length in member.sparse) if member.sparse is not None else None,
        }))
