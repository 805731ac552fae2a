// WAMP clients in JavaScript that are to come again after a restart of the router: returning.py's
// twin, which describes what they do. Usage: node returning.js KIND URL REALM
"use strict";

const path = require("node:path");

module.paths.push(path.join(__dirname, "../../target/test-clients/node_modules"));

const [kind, url, realm] = process.argv.slice(2);
const procedure = `com.example.${kind}`;

const joined = () => process.stdout.write(JSON.stringify({ joined: kind }) + "\n");

const kinds = {
  autobahn_js: () => {
    const autobahn = require("autobahn");
    const connection = new autobahn.Connection({
      url,
      realm,
      max_retries: -1,
      initial_retry_delay: 0.2,
      max_retry_delay: 1,
      use_es6_promises: true,
    });
    connection.onopen = (session) => session.register(procedure, ([value]) => value).then(joined);
    connection.open();
  },
  wampy_js: async () => {
    const { Wampy } = require("wampy");
    const client = new Wampy(url, {
      realm,
      ws: require("ws"),
      maxRetries: 0, // without end
      reconnectInterval: 200,
      // It registers again by itself.
      onReconnectSuccess: joined,
    });
    await client.connect();
    await client.register(procedure, ({ argsList }) => ({ argsList }));
    joined();
  },
};

kinds[kind]();
