/** git as everybody has it: without the settings of whoever runs this, and without repacking in the background. */

/** The whole environment for a child that is git, or runs it. */
export const gitEnvironment = (): NodeJS.ProcessEnv => {
  const settings: [string, string][] = [
    ['safe.directory', '*'],
    ['gc.auto', '0'],
    ['maintenance.auto', 'false'],
    ['user.name', 'bench'],
    ['user.email', 'bench@localhost'],
    ['init.defaultBranch', 'main'],
  ];
  const env: NodeJS.ProcessEnv = {
    ...process.env,
    LC_ALL: 'C',
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_CONFIG_GLOBAL: '/dev/null',
    GIT_CONFIG_COUNT: String(settings.length),
  };
  settings.forEach(([key, value], i) => {
    env[`GIT_CONFIG_KEY_${i}`] = key;
    env[`GIT_CONFIG_VALUE_${i}`] = value;
  });
  return env;
};
