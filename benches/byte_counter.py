#!/usr/bin/env python3
"""Hands connections on to a socket of PostgreSQL, and counts the bytes of both ways.

    byte_counter.py SOCKET_FOLDER PORT FILE

Listens on 127.0.0.1:PORT until it is terminated, and keeps FILE at the number of bytes.
"""

import asyncio
import os
import sys

folder, port, path = sys.argv[1], int(sys.argv[2]), sys.argv[3]
total = 0


async def hand_on(reader, writer):
    global total
    while data := await reader.read(1 << 16):
        total += len(data)
        writer.write(data)
        await writer.drain()
    writer.close()


async def connection(reader, writer):
    to_server = await asyncio.open_unix_connection(f"{folder}/.s.PGSQL.5432")
    await asyncio.gather(
        hand_on(reader, to_server[1]), hand_on(to_server[0], writer), return_exceptions=True
    )


async def keep_written():
    while True:
        # Whoever reads the file finds a number in it.
        with open(f"{path}.new", "w", encoding="ascii") as file:
            file.write(f"{total}\n")
        os.replace(f"{path}.new", path)
        await asyncio.sleep(0.05)


async def main():
    server = await asyncio.start_server(connection, "127.0.0.1", port)
    await asyncio.gather(server.serve_forever(), keep_written())


asyncio.run(main())
