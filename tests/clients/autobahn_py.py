"""A WAMP client on AutobahnPython for the tests. Usage: autobahn_py.py URL REALM

Commands come in on stdin, a pipe, answers go out on stdout, one JSON object a line, answers in the
order of the commands. The first line says how joining went:

    {"joined": {"session": ID}}    or    {"failed": {"reason": ..., "message": ...}}, exit code 1

    {"op": "call", "procedure": ..., "args": [...], "kwargs": {...}}
        -> {"result": {"args": [...], "kwargs": {...}}}
    {"op": "begin", "procedure": ..., "args": [...], "kwargs": {...}}
        -> {"begun": true}, the call goes on
    {"op": "cancel", "mode": ...}
        -> {"error": {...}} that the call which was begun has come to. AutobahnPython knows no
           mode, and lets no ERROR through: there the URI is client.error
    {"op": "call_progressively", "procedure": ..., "args": [...], "kwargs": {...}}
        -> {"result": {"parts": [{"args": [...], "kwargs": {...}}, ...], "end": {...}}}
    {"op": "register", "procedure": ...,
     "behaviour": "echo" | "fail" | "hang" | "count" | "authorize",
     "force_reregister": bool (false)}
        -> {"registered": true}
        echo answers what it is called with, fail raises com.example.failed with it, hang never
        answers and says, between the answers, {"invoked": {"args": [...], "kwargs": {...}}},
        count answers "counted", after as many parts as it is told if the caller takes parts,
        authorize says "invoked" as well and is an authorizer: false for a URI that ends with
        "denied", allow and disclose for "disclosed", allow and cache for "kept", never for
        "pending", and else true
    {"op": "subscribe", "topic": ...}
        -> {"subscribed": true}, and later, between the answers,
           {"event": {"topic": ..., "args": [...], "kwargs": {...}}}
    {"op": "publish", "topic": ..., "args": [...], "kwargs": {...},
     "acknowledge": bool (false), "exclude_me": bool (true),
     "receivers": {"eligible": ..., "exclude": ..., "eligible_authid": ..., ...}}
        -> {"published": true}
    {"op": "leave"}, or the end of stdin
        -> {"left": {"reason": ..., "message": ...}}, exit code 0

Each of the first seven may also be answered by {"error": {"uri", "args", "kwargs"}}; the URI
client.error is Autobahn's own refusal. When the router says GOODBYE the last line is "left" with
its reason, exit code 0; when the connection breaks it is "lost", exit code 1. Autobahn makes no
difference between a result of no value and one of a single null: both have no args here.
"""

import asyncio
import json
import sys

from autobahn.asyncio.wamp import ApplicationSession
from autobahn.asyncio.websocket import WampWebSocketClientFactory
from autobahn.wamp.exception import ApplicationError
from autobahn.wamp.types import (
    CallOptions,
    CallResult,
    ComponentConfig,
    PublishOptions,
    RegisterOptions,
)
from autobahn.websocket.util import parse_url

LINE_BYTES_MAX = 64 * 1024 * 1024

ANSWERS = sys.stdout
sys.stdout = sys.stderr  # whatever a library prints must not come between the answers


def say(answer):
    print(json.dumps(answer), file=ANSWERS, flush=True)


def parts(result):
    if isinstance(result, CallResult):
        return {"args": list(result.results), "kwargs": result.kwresults}
    return {"args": [] if result is None else [result], "kwargs": {}}


def echo(*args, **kwargs):
    return CallResult(*args, **kwargs)


def fail(*args, **kwargs):
    raise ApplicationError("com.example.failed", *args, **kwargs)


def hang(*args, **kwargs):
    say({"invoked": {"args": list(args), "kwargs": kwargs}})
    return asyncio.get_running_loop().create_future()


def count(to, details):
    for n in range(1, to + 1) if details.progress else ():
        details.progress(n, of=to)
    return "counted"


def authorize(details, uri, action, options):
    say({"invoked": {"args": [details, uri, action, options], "kwargs": {}}})
    last = uri.split(".")[-1]
    if last == "pending":
        return asyncio.get_running_loop().create_future()
    answers = {
        "denied": False,
        "disclosed": {"allow": True, "disclose": True},
        "kept": {"allow": True, "cache": True},
    }
    return answers.get(last, True)


ENDPOINTS = {
    "echo": echo,
    "fail": fail,
    "hang": hang,
    "count": count,
    "authorize": authorize,
}


class Client(ApplicationSession):
    def __init__(self, realm, ended):
        super().__init__(ComponentConfig(realm))
        self.ended = ended
        self.joined = False

    async def onJoin(self, details):
        self.joined = True
        say({"joined": {"session": details.session}})
        # Autobahn waits for onJoin before it is ready for more: obey in a task of its own.
        self.obeying = asyncio.ensure_future(self.obey())
        self.obeying.add_done_callback(self.obeyed)

    async def obey(self):
        loop = asyncio.get_running_loop()
        commands = asyncio.StreamReader(limit=LINE_BYTES_MAX)
        await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(commands), sys.stdin
        )
        async for line in commands:
            command = json.loads(line)
            if command["op"] == "leave":
                break
            operation = getattr(self, "op_" + command.pop("op"))
            try:
                say(await operation(**command))
            except ApplicationError as error:
                say(
                    {
                        "error": {
                            "uri": error.error,
                            "args": list(error.args),
                            "kwargs": error.kwargs,
                        }
                    }
                )
            except Exception as error:  # what Autobahn itself refuses
                text = f"{type(error).__name__}: {error}"
                say({"error": {"uri": "client.error", "args": [text], "kwargs": {}}})

    def obeyed(self, task):
        if task.cancelled():
            return
        if task.exception():
            self.end("lost", "client.error", repr(task.exception()))
        elif self.is_attached():
            self.leave()

    async def op_call(self, procedure, args=(), kwargs=None):
        return {"result": parts(await self.call(procedure, *args, **(kwargs or {})))}

    async def op_begin(self, procedure, args=(), kwargs=None):
        self.begun = self.call(procedure, *args, **(kwargs or {}))
        return {"begun": True}

    async def op_cancel(self):
        self.begun.cancel()
        try:
            return {"result": parts(await self.begun)}
        except asyncio.CancelledError as error:
            raise RuntimeError("cancelled") from error

    async def op_call_progressively(self, procedure, args=(), kwargs=None):
        of_it = []

        def on_progress(*args, **kwargs):
            of_it.append({"args": list(args), "kwargs": kwargs})

        options = CallOptions(on_progress=on_progress)
        end = await self.call(procedure, *args, options=options, **(kwargs or {}))
        return {"result": {"parts": of_it, "end": parts(end)}}

    async def op_register(self, procedure, behaviour, force_reregister=None):
        options = RegisterOptions(
            force_reregister=force_reregister,
            details_arg="details" if behaviour == "count" else None,
        )
        await self.register(ENDPOINTS[behaviour], procedure, options)
        return {"registered": True}

    async def op_subscribe(self, topic):
        def on_event(*args, **kwargs):
            say({"event": {"topic": topic, "args": list(args), "kwargs": kwargs}})

        await self.subscribe(on_event, topic)
        return {"subscribed": True}

    async def op_publish(
        self,
        topic,
        args=(),
        kwargs=None,
        acknowledge=False,
        exclude_me=True,
        receivers=None,
    ):
        options = PublishOptions(
            acknowledge=acknowledge, exclude_me=exclude_me, **(receivers or {})
        )
        published = self.publish(topic, *args, options=options, **(kwargs or {}))
        if acknowledge:
            await published
        return {"published": True}

    def onLeave(self, details):
        if not self.joined:
            outcome = "failed"
        elif details.reason == "wamp.close.transport_lost":
            outcome = "lost"
        else:
            outcome = "left"
        self.end(outcome, details.reason, details.message)
        self.disconnect()

    def onDisconnect(self):
        self.end("lost" if self.joined else "failed", "wamp.close.transport_lost", "")

    def end(self, outcome, reason, message):
        """The first caller decides; the others come along with the same end."""
        if not self.ended.done():
            self.ended.set_result((outcome, reason, message))


async def main(url, realm):
    loop = asyncio.get_running_loop()
    ended = loop.create_future()
    factory = WampWebSocketClientFactory(lambda: Client(realm, ended), url=url, loop=loop)
    is_secure, host, port = parse_url(url)[:3]
    try:
        transport, protocol = await loop.create_connection(
            factory, host, port, ssl=True if is_secure else None
        )
    except OSError as error:
        say({"failed": {"reason": "unreachable", "message": str(error)}})
        return 1
    # A handshake that fails never makes a session, so nobody but the socket tells of it.
    await asyncio.wait([ended, protocol.is_closed], return_when=asyncio.FIRST_COMPLETED)
    if not ended.done():
        ended.set_result(("failed", "unreachable", protocol.wasNotCleanReason or ""))
    outcome, reason, message = ended.result()
    say({outcome: {"reason": reason, "message": message or ""}})
    transport.close()
    return 0 if outcome == "left" else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main(*sys.argv[1:])))
