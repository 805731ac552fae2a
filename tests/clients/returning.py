"""WAMP clients on AutobahnPython that are to come again after a restart of the router.

Usage: returning.py KIND URL REALM, where KIND is one of KINDS below. Each time it has joined and
registered com.example.KIND, which answers with what it is called with, it writes a line:

    {"joined": "KIND"}

It connects again by the means that its kind has, and ends by being killed.
"""

import asyncio
import json
import sys

ANSWERS = sys.stdout
sys.stdout = sys.stderr  # where the libraries may write

RETRY_SECONDS = 0.2
RETRY_SECONDS_MAX = 1.0


def echo(value):
    return value


def say(kind):
    print(json.dumps({"joined": kind}), file=ANSWERS, flush=True)


def component(kind, url, realm, run, Component):
    """Component and run() of autobahn.asyncio.component or autobahn.twisted.component."""
    transport = {
        "type": "websocket",
        "url": url,
        "max_retries": -1,
        "initial_retry_delay": RETRY_SECONDS,
        "max_retry_delay": RETRY_SECONDS_MAX,
    }
    client = Component(transports=[transport], realm=realm)

    @client.on_join
    def joined(session, details):
        return register(session, kind)

    run([client], log_level=None)
    # run() comes back when the component takes itself for done.
    sys.exit(f"{kind}: the component has ended")


def asyncio_component(kind, url, realm):
    from autobahn.asyncio.component import Component, run

    component(kind, url, realm, run, Component)


def twisted_component(kind, url, realm):
    from autobahn.twisted.component import Component, run

    component(kind, url, realm, run, Component)


def twisted_runner(kind, url, realm):
    from autobahn.twisted.wamp import ApplicationRunner, ApplicationSession

    class Client(ApplicationSession):
        def onJoin(self, details):
            return register(self, kind)

    runner = ApplicationRunner(
        url,
        realm,
        max_retries=-1,
        initial_retry_delay=RETRY_SECONDS,
        max_retry_delay=RETRY_SECONDS_MAX,
    )
    runner.run(Client, auto_reconnect=True)
    sys.exit(f"{kind}: the runner has ended")


def asyncio_runner(kind, url, realm):
    """This runner does not connect again by itself: its user has to, when the session is lost."""
    from autobahn.asyncio.wamp import ApplicationRunner, ApplicationSession

    class Client(ApplicationSession):
        async def onJoin(self, details):
            await register(self, kind)

        def onLeave(self, details):
            if details.reason != "wamp.close.transport_lost":
                sys.exit(f"{kind}: the session was ended: {details.reason}")
            super().onLeave(details)

        def onDisconnect(self):
            self.config.extra["lost"].set()

    async def stay_connected():
        while True:
            lost = asyncio.Event()
            runner = ApplicationRunner(url, realm, extra={"lost": lost})
            try:
                await runner.run(Client, start_loop=False)
                await lost.wait()
            except OSError:
                pass
            await asyncio.sleep(RETRY_SECONDS)

    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    loop.run_until_complete(stay_connected())


def register(session, kind):
    """Registers the procedure, and says so when the router has answered."""
    registered = session.register(echo, f"com.example.{kind}")
    if hasattr(registered, "addCallback"):
        registered.addCallback(lambda _: say(kind))
    else:
        registered.add_done_callback(lambda _: say(kind))
    return registered


KINDS = {
    "asyncio_component": asyncio_component,
    "asyncio_runner": asyncio_runner,
    "twisted_component": twisted_component,
    "twisted_runner": twisted_runner,
}

if __name__ == "__main__":
    _, kind, url, realm = sys.argv
    KINDS[kind](kind, url, realm)
