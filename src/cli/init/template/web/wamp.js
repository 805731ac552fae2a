// A WAMP client in a few lines: JSON over WebSocket, to call procedures and to subscribe to topics.
// AutobahnJS and Wampy.js do far more: pass them the same address and realm.

const HELLO = 1, WELCOME = 2, ERROR = 8, SUBSCRIBE = 32, SUBSCRIBED = 33, EVENT = 36, CALL = 48, RESULT = 50;

/** Joins a realm. The session can `call` and `subscribe`; its `closed` is fulfilled at its end. */
export function connect(url, realm) {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(url, "wamp.2.json");
    const waiting = new Map();
    const handlers = new Map();
    let last = 0;

    /** Sends a request, and waits for its answer. */
    const request = (code, ...rest) => new Promise((resolve, reject) => {
      last += 1;
      waiting.set(last, { resolve, reject });
      socket.send(JSON.stringify([code, last, {}, ...rest]));
    });
    /** Takes who waits for the answer to a request. */
    const taken = (id) => {
      const who = waiting.get(id);
      waiting.delete(id);
      return who;
    };

    const session = {
      /** Calls a procedure: the value of its result. */
      call: (procedure, args = [], kwargs = {}) => request(CALL, procedure, args, kwargs),
      /** Has `handler` called with the arguments of each event. */
      async subscribe(topic, handler) {
        handlers.set(await request(SUBSCRIBE, topic), handler);
      },
      closed: new Promise((closed) => { socket.onclose = closed; }),
    };
    const lost = () => {
      const why = new Error("the connection to the node is lost");
      reject(why);
      waiting.forEach((who) => who.reject(why));
    };
    session.closed.then(lost);

    socket.onopen = () => {
      const roles = { caller: {}, subscriber: {} };
      socket.send(JSON.stringify([HELLO, realm, { roles }]));
    };
    socket.onmessage = ({ data }) => {
      const [code, ...rest] = JSON.parse(data);
      if (code === WELCOME) resolve(session);
      else if (code === RESULT) taken(rest[0]).resolve(rest[2]?.[0]);
      else if (code === SUBSCRIBED) taken(rest[0]).resolve(rest[1]);
      else if (code === EVENT) handlers.get(rest[0])?.(rest[3] ?? [], rest[4] ?? {});
      else if (code === ERROR) {
        const [, id, , uri, args] = rest;
        const error = new Error(`${uri}: ${args?.[0] ?? ""}`);
        taken(id).reject(Object.assign(error, { uri, args }));
      } else {
        // ABORT or GOODBYE.
        reject(new Error(`the node ends the session: ${data}`));
        socket.close();
      }
    };
  });
}
