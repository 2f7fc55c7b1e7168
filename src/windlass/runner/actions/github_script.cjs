// What actions/github-script runs: the script of its input as the body of an async function, given the toolkit.
'use strict';
const path = require('path');
const { createRequire } = require('module');
const toolkit = createRequire(path.join(process.env.WINDLASS_TOOLKIT, 'package.json'));
const core = toolkit('@actions/core');
const { getOctokit, context } = toolkit('@actions/github');

// What a script requires comes from the workspace, and from the toolkit where the workspace has it not.
const own = createRequire(path.join(process.cwd(), 'script.js'));
const required = new Proxy(own, {
  apply(_target, _this, [name]) {
    try {
      return own(name);
    } catch (error) {
      if (error.code !== 'MODULE_NOT_FOUND') throw error;
      try {
        return toolkit(name);
      } catch {
        throw error;
      }
    }
  },
});

async function main() {
  const input = (name) => core.getInput(name);
  const encoding = input('result-encoding') || 'json';
  if (!['json', 'string'].includes(encoding)) {
    throw new Error('"result-encoding" must be either "string" or "json"');
  }
  const options = { userAgent: input('user-agent') || undefined };
  if (input('base-url')) options.baseUrl = input('base-url');
  const octokit = getOctokit(core.getInput('github-token', { required: true }), options);
  const given = {
    require: required,
    __original_require__: own,
    github: octokit,
    octokit,
    getOctokit,
    context,
    core,
    exec: toolkit('@actions/exec'),
    glob: toolkit('@actions/glob'),
    io: toolkit('@actions/io'),
  };
  const AsyncFunction = Object.getPrototypeOf(async () => null).constructor;
  const body = new AsyncFunction(...Object.keys(given), core.getInput('script', { required: true, trimWhitespace: false }));
  const result = await body(...Object.values(given));
  core.setOutput('result', encoding === 'json' ? (JSON.stringify(result) ?? '') : String(result));
}

process.on('unhandledRejection', failed);
main().catch(failed);

function failed(error) {
  console.error(error);
  core.setFailed(`Unhandled error: ${error}`);
  process.exit(1);
}
