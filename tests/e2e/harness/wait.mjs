// Waiting for something to become true, and the clock of it.

export const sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/// Asks `question` every 100 ms until it answers something true, and returns that. Throws after `seconds`, naming
/// `what` was waited for and the last answer.
export async function until(what, question, seconds = 15) {
  const end = Date.now() + seconds * 1000;
  let last;
  for (;;) {
    try {
      last = await question();
      if (last) {
        return last;
      }
    } catch (error) {
      last = error;
    }
    if (Date.now() > end) {
      throw new Error(`waited ${seconds} s for: ${what} (last answer: ${describe(last)})`);
    }
    await sleep(100);
  }
}

function describe(value) {
  return value instanceof Error ? value.message : JSON.stringify(value);
}
