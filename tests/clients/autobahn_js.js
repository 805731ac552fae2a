// A WAMP client on AutobahnJS for the tests: commands come in on stdin, answers go out on stdout,
// one JSON object a line. Usage: node autobahn_js.js URL REALM
//
// It is autobahn_py.py's twin: the protocol is described there, and both have to speak the same.
"use strict";

const path = require("node:path");
const readline = require("node:readline");

module.paths.push(path.join(__dirname, "../../target/test-clients/node_modules"));
const autobahn = require("autobahn");

const [url, realm] = process.argv.slice(2);

function say(answer) {
  process.stdout.write(JSON.stringify(answer) + "\n");
}

// AutobahnJS hands out one value bare, none as null, and only more than that as a Result.
function parts(result) {
  if (result instanceof autobahn.Result) {
    return { args: result.args || [], kwargs: result.kwargs || {} };
  }
  return { args: result === null || result === undefined ? [] : [result], kwargs: {} };
}

function failure(error) {
  if (error instanceof autobahn.Error) {
    return { error: { uri: error.error, args: error.args || [], kwargs: error.kwargs || {} } };
  }
  return { error: { uri: "client.error", args: [String(error)], kwargs: {} } };
}

const endpoints = {
  echo: (args, kwargs) => new autobahn.Result(args, kwargs),
  fail: (args, kwargs) => {
    throw new autobahn.Error("com.example.failed", args, kwargs);
  },
  count: (args, _kwargs, details) => {
    for (let n = 1; details.progress && n <= args[0]; n++) {
      details.progress([n], { of: args[0] });
    }
    return "counted";
  },
  hang: (args, kwargs) => {
    say({ invoked: { args: args || [], kwargs: kwargs || {} } });
    return new Promise(() => {});
  },
  authorize: ([details, uri, action, options]) => {
    say({ invoked: { args: [details, uri, action, options], kwargs: {} } });
    const last = uri.split(".").pop();
    return {
      denied: false,
      disclosed: { allow: true, disclose: true },
      kept: { allow: true, cache: true },
      pending: new Promise(() => {}),
    }[last] ?? true;
  },
};

// A promise that keeps the parts of a result. (AutobahnJS hands them on where promises have
// progress, and those of the language have none.)
function deferred() {
  const made = {};
  made.promise = new Promise((resolve, reject) => Object.assign(made, { resolve, reject }));
  made.promise.parts = [];
  made.notify = (part) => made.promise.parts.push(part);
  return made;
}

// The call that can be canceled.
let begun;

const operations = {
  call: async (session, { procedure, args, kwargs }) => ({
    result: parts(await session.call(procedure, args, kwargs)),
  }),
  begin: async (session, { procedure, args, kwargs }) => {
    begun = session.call(procedure, args, kwargs);
    return { begun: true };
  },
  cancel: async (session, { mode }) => {
    begun.cancel({ mode });
    return { result: parts(await begun) };
  },
  call_progressively: async (session, { procedure, args, kwargs }) => {
    const called = session.call(procedure, args, kwargs, { receive_progress: true });
    const end = await called;
    return { result: { parts: called.parts.map(parts), end: parts(end) } };
  },
  register: async (session, { procedure, behaviour, force_reregister }) => {
    const options = force_reregister ? { force_reregister } : {};
    await session.register(procedure, endpoints[behaviour], options);
    return { registered: true };
  },
  subscribe: async (session, { topic }) => {
    await session.subscribe(topic, (args, kwargs) => {
      say({ event: { topic, args: args || [], kwargs: kwargs || {} } });
    });
    return { subscribed: true };
  },
  publish: async (session, { topic, args, kwargs, acknowledge, exclude_me = true, receivers }) => {
    const options = { acknowledge: !!acknowledge, exclude_me, ...receivers };
    await session.publish(topic, args, kwargs, options);
    return { published: true };
  },
};

async function obey(session, commands) {
  for await (const line of commands) {
    const command = JSON.parse(line);
    if (command.op === "leave") {
      break;
    }
    say(await operations[command.op](session, command).catch(failure));
  }
}

const connection = new autobahn.Connection({
  url,
  realm,
  max_retries: 0,
  retry_if_unreachable: false,
  use_deferred: deferred,
});
let joined = false;

connection.onopen = (session) => {
  joined = true;
  say({ joined: { session: session.id } });
  const commands = readline.createInterface({ input: process.stdin });
  obey(session, commands).then(
    () => connection.isOpen && connection.close(),
    (error) => {
      console.error(error);
      process.exit(1);
    },
  );
};

connection.onclose = (reason, details) => {
  const answer = { reason: details.reason || reason, message: details.message || "" };
  const left = joined && Boolean(details.reason);
  say(joined ? (left ? { left: answer } : { lost: answer }) : { failed: answer });
  // Not process.exit(): what was said has to reach the pipe first.
  process.exitCode = left ? 0 : 1;
  process.stdin.destroy();
  return true;
};

connection.open();
