// What the programs share: where the server is, the wait for a state, the look at a refusal, and the one line they print.
//
// Everything comes from the environment, so that no key is on a command line. It knows no cloud.
"use strict";

const PATIENCE_MS = 90_000;
const PAUSE_MS = 50;

/** A setting that the test has to give. */
function setting(name) {
  const value = process.env[`WHARF_TEST_${name}`];
  if (!value) throw new Error(`WHARF_TEST_${name} is not set`);
  return value;
}

/** Asks for a state until `reached` says so, and returns it; gives up after a while, with the last one in the words. */
async function until(what, ask, reached) {
  let state;
  for (const end = Date.now() + PATIENCE_MS; Date.now() < end; ) {
    state = await ask();
    if (reached(state)) return state;
    await new Promise((wake) => setTimeout(wake, PAUSE_MS));
  }
  throw new Error(`${what}: not within ${PATIENCE_MS} ms, last seen ${JSON.stringify(state)}`);
}

/** The error of a call that has to be refused; `Kind` is the class that the SDK documents for it. */
async function refused(Kind, call) {
  try {
    await call();
  } catch (error) {
    if (error instanceof Kind) return error;
    throw error;
  }
  throw new Error(`not refused: ${call}`);
}

/** Runs a program and prints what it saw as one line of JSON. */
function main(program) {
  program().then(
    (what) => process.stdout.write(`${JSON.stringify(what)}\n`),
    (error) => {
      process.stderr.write(`${error.stack}\n`);
      process.exitCode = 1;
    },
  );
}

module.exports = { main, refused, setting, until };
