#!/usr/bin/env python3
"""The vault from Python, with nothing but the standard library: python3 vault.py my-vault [libmirrordna.so]"""
import ctypes
import json
import sys

NOT_FOUND, END = 20, 1


class String(ctypes.Structure):
    _fields_ = [("data", ctypes.c_void_p), ("len", ctypes.c_size_t)]


class Error(ctypes.Structure):
    _fields_ = [("status", ctypes.c_int32)] + [
        (name, ctypes.c_char_p) for name in ("name", "message", "hint", "subject")
    ]


class VaultError(Exception):
    def __init__(self, status, message):
        super().__init__(message)
        self.status = status


class Library:
    """Functions of the library; what they return is checked, and text that comes out is freed."""

    def __init__(self, path):
        self.c = ctypes.CDLL(path)
        self.c.mdna_version.restype = ctypes.c_char_p
        self.c.mdna_last_error.restype = ctypes.POINTER(Error)
        for close in ("mdna_vault_close", "mdna_cursor_free"):
            getattr(self.c, close).argtypes = [ctypes.c_void_p]
            getattr(self.c, close).restype = None

    def call(self, name, *arguments):
        encoded = [argument.encode() if isinstance(argument, str) else argument for argument in arguments]
        status = getattr(self.c, name)(*encoded)
        if status not in (0, END):
            raise VaultError(status, self.c.mdna_last_error().contents.message.decode())
        return status

    def text(self, name, *arguments):
        """The text that a function gives, or None at the end of a cursor."""
        out = String()
        if self.call(name, *arguments, ctypes.byref(out)) == END:
            return None
        try:
            return ctypes.string_at(out.data, out.len).decode()
        finally:
            self.c.mdna_string_free(ctypes.byref(out))

    def handle(self, name, *arguments):
        out = ctypes.c_void_p()
        self.call(name, *arguments, ctypes.byref(out))
        return out

    def items(self, name, *arguments):
        cursor = self.handle(name, *arguments)
        try:
            while (text := self.text("mdna_cursor_next", cursor)) is not None:
                yield json.loads(text)
        finally:
            self.c.mdna_cursor_free(cursor)


def main(path, library="libmirrordna.so.0"):
    mdna = Library(library)
    print("mirrordna", mdna.c.mdna_version().decode())
    vault = mdna.handle("mdna_vault_create", path, None)
    try:
        agent = json.loads(mdna.text("mdna_identity_create", vault, "agent", '{"name": "Ada"}'))["identity_id"]
        user = json.loads(mdna.text("mdna_identity_create", vault, "user", None))["identity_id"]
        session = json.loads(mdna.text("mdna_session_start", vault, agent, user, None))["session_id"]
        source = {"session_id": session, "agent_id": agent, "user_id": user}
        memory = {"tier": "long_term", "content": {"city": "Zürich"}, "source": source}
        mdna.text("mdna_memory_add", vault, json.dumps(memory))
        for found in mdna.items("mdna_memory_search", vault, "zürich", None):
            print("found", found["content"]["city"])
        try:
            mdna.text("mdna_memory_get", vault, "mem_none")
        except VaultError as error:
            assert error.status == NOT_FOUND, error
            print(error)
        print("clean", json.loads(mdna.text("mdna_vault_verify", vault))["clean"])
    finally:
        mdna.c.mdna_vault_close(vault)


if __name__ == "__main__":
    main(*sys.argv[1:])
