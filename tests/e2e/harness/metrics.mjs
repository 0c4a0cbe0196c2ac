// Reads the Prometheus text exposition format as far as the suites need it.

/// Every sample of `text` as { name, labels, value }.
export function samples(text) {
  return text
    .split('\n')
    .map((line) => /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)/.exec(line))
    .filter(Boolean)
    .map(([, name, labels, value]) => ({ name, labels: labelsOf(labels ?? ''), value: Number(value) }));
}

function labelsOf(text) {
  return Object.fromEntries([...text.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)].map(([, key, value]) => [key, value]));
}

/// The sum of all samples called `name` whose labels hold `wanted`. A name that is not there at all is an error.
export function sum(all, name, wanted = {}) {
  const named = all.filter((one) => one.name === name);
  if (named.length === 0) {
    throw new Error(`there is no metric ${name}`);
  }
  return named
    .filter((one) => Object.entries(wanted).every(([key, value]) => one.labels[key] === value))
    .reduce((total, one) => total + one.value, 0);
}
