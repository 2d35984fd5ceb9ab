"""The original Berkeley DB 1.85 (Debian package libdb1-compat) as a judge, driven by lines on stdin.

usage: db185.py LIBRARY

Each line is one command, keys and values in hex; each answer is one line on stdout:
  open FILE           read only               create FILE      as pwd_mkdb(8) creates its databases
  update FILE         for writing             close
  get KEY             the value, or -         put KEY VALUE    0, or 1 for a key that is there (R_NOOVERWRITE)
  delete KEY          0, or 1 if not there    list             the pairs, KEY=VALUE, in the file's order
"""
import ctypes
import os
import sys

Pointer, Int, Unsigned = ctypes.c_void_p, ctypes.c_int, ctypes.c_uint


class Thing(ctypes.Structure):
    _fields_ = [("data", Pointer), ("size", ctypes.c_size_t)]


class Database(ctypes.Structure):
    pass


Db, Dbt = ctypes.POINTER(Database), ctypes.POINTER(Thing)
Database._fields_ = [
    ("type", Int),
    ("close", ctypes.CFUNCTYPE(Int, Db)),
    ("delete", ctypes.CFUNCTYPE(Int, Db, Dbt, Unsigned)),
    ("get", ctypes.CFUNCTYPE(Int, Db, Dbt, Dbt, Unsigned)),
    ("put", ctypes.CFUNCTYPE(Int, Db, Dbt, Dbt, Unsigned)),
    ("seq", ctypes.CFUNCTYPE(Int, Db, Dbt, Dbt, Unsigned)),
    ("sync", ctypes.CFUNCTYPE(Int, Db, Unsigned)),
    ("internal", Pointer),
    ("fd", ctypes.CFUNCTYPE(Int, Db)),
]


class HashInfo(ctypes.Structure):
    _fields_ = [
        ("bsize", Unsigned),
        ("ffactor", Unsigned),
        ("nelem", Unsigned),
        ("cachesize", Unsigned),
        ("hash", Pointer),
        ("lorder", Int),
    ]


HASH, FIRST, NEXT, NO_OVERWRITE = 1, 3, 7, 8
library = ctypes.CDLL(sys.argv[1])
library.__dbopen.restype = Db
library.__dbopen.argtypes = [ctypes.c_char_p, Int, Int, Int, Pointer]
# What pwd_mkdb(8) asks for: page size, fill factor, keys expected, cache, hash function, byte order.
info = HashInfo(4096, 32, 256, 2048 * 1024, None, 4321)
modes = {"open": os.O_RDONLY, "update": os.O_RDWR, "create": os.O_RDWR | os.O_CREAT | os.O_EXCL}


def thing(text):
    content = bytes.fromhex(text)
    buffer = ctypes.create_string_buffer(content, len(content))
    return Thing(ctypes.cast(buffer, Pointer), len(content)), buffer


def shown(of):
    return ctypes.string_at(of.data, of.size).hex()


database = None
for line in sys.stdin:
    command, *words = line.split()
    if command in modes:
        database = library.__dbopen(words[0].encode(), modes[command], 0o644, HASH, ctypes.byref(info))
        print("opened" if database else "refused")
    elif command == "close":
        print(database.contents.close(database))
    elif command == "list":
        key, value, found, where = Thing(), Thing(), [], FIRST
        while database.contents.seq(database, key, value, where) == 0:
            found.append(shown(key) + "=" + shown(value))
            where = NEXT
        print(" ".join(found))
    else:
        key, _kept = thing(words[0])
        if command == "get":
            value = Thing()
            print(shown(value) if database.contents.get(database, key, value, 0) == 0 else "-")
        elif command == "put":
            value, _value = thing(words[1])
            print(database.contents.put(database, key, value, NO_OVERWRITE))
        elif command == "delete":
            print(database.contents.delete(database, key, 0))
