"""Reusable workflows: loading what jobs call, and checking inputs, secrets and permissions against it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from windlass.workflow.expressions import Scope, interpolate, resolve, to_string
from windlass.workflow.expressions.values import lookup
from windlass.workflow.model import JobResult, Parsed, Workflow, WorkflowError
from windlass.workflow.parsing import DEFAULT, Options, Reading, check_events, read_file
from windlass.workflow.permissions import RESTRICTED, all_at, exceeding
from windlass.workflow.reading.problems import Problems
from windlass.workflow.reading.tokens import Literal, MappingToken, Token, text
from windlass.workflow.triggering import dispatch_inputs

if TYPE_CHECKING:
    from windlass.workflow.model import Trigger

Load = Callable[[str], str | None]
MAX_DEPTH = 10
FOLDER = ".github/workflows"


@dataclass(frozen=True, slots=True)
class Policy:
    """What called workflows may do. `default` are the permissions of a caller that names none.

    It is "LimitedRead" or "Write", or `granted` says it scope by scope. `trusted` says of a reference whether it
    may have `id-token` by default.
    """

    depth: int = MAX_DEPTH
    default: str = "LimitedRead"
    granted: Mapping[str, str] | None = None
    follow: bool = True
    trusted: Callable[[str], bool] = lambda _: False


@dataclass(frozen=True, slots=True)
class Place:
    """Where a called workflow lies. No `repository`: in the caller's own, at the caller's commit."""

    path: str
    repository: str = ""
    ref: str = ""


def place(uses: str) -> Place:
    """Read `uses:` of a job: `./PATH`, `$/PATH`, `OWNER/NAME/PATH@REF`. Raises `WorkflowError`."""
    own = uses.removeprefix("./") if uses.startswith("./") else uses.removeprefix("$/")
    if own != uses:
        found = Place(own)
    else:
        whole, at, ref = uses.partition("@")
        owner, _, rest = whole.partition("/")
        name, _, path = rest.partition("/")
        if not (at and ref and owner and name and path):
            raise WorkflowError(f"'{uses}' is none of ./PATH, $/PATH, OWNER/NAME/PATH@REF")
        found = Place(path, f"{owner}/{name}", ref)
    if not (found.path.startswith(f"{FOLDER}/") and found.path.endswith((".yml", ".yaml"))):
        raise WorkflowError(f"'{uses}' is not a workflow file: those lie in {FOLDER}")
    return found


def absolute(uses: str, within: str = "") -> str:
    """Return `uses:` as it reads from the run's own repository. `within` is the called file that it stands in.

    `./` and `$/` mean the repository and commit of the file that they stand in.
    """
    repository, at, ref = within.partition("@")
    if not at or not uses.startswith(("./", "$/")):
        return uses
    owner, name = repository.split("/")[:2]
    return f"{owner}/{name}/{uses[2:]}@{ref}"


def calls(workflow: Workflow, within: str = "") -> list[str]:
    """Return what the jobs of a file call, each once, as `absolute` has it."""
    return list(dict.fromkeys(absolute(job.uses, within) for job in workflow.jobs.values() if job.uses))


@dataclass(slots=True)
class Called:
    """A workflow that a job calls, and what its own jobs call, by job key."""

    ref: str
    reading: Reading
    called: dict[str, Called] = field(default_factory=dict)

    @property
    def workflow(self) -> Workflow:
        """The workflow; there is one where there were no errors."""
        if self.reading.workflow is None:
            raise ValueError(self.ref)
        return self.reading.workflow

    def effective(self, permissions: Mapping[str, str] | None) -> Workflow:
        """Return the workflow with its caller's permissions where it names none of its own."""
        if self.workflow.permissions is not None or permissions is None:
            return self.workflow
        return replace(self.workflow, permissions=dict(permissions))


@dataclass(slots=True)
class WithCalled:
    """A workflow with all that its jobs call, by job key."""

    reading: Reading
    called: dict[str, Called] = field(default_factory=dict)


def parse_with_called(
    source: str, path: str, load: Load, options: Options = DEFAULT, policy: Policy | None = None
) -> tuple[Parsed, dict[str, Called]]:
    """Read a workflow and all that its jobs call. `load` returns the text behind a `uses:`, None for no such.

    It is asked for what `absolute` makes of each.

    Never raises: everything that is wrong is in the diagnostics.
    """
    problems = Problems()
    loader = Loader(problems, load, options, policy or Policy())
    made = loader.read(source, path)
    check_events(made.reading, problems, options)
    workflow = None if problems else made.reading.workflow
    return Parsed(workflow, tuple(problem.diagnostic() for problem in problems.found)), made.called


def called_inputs(
    workflow: Workflow, given: Mapping[str, Any], contexts: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the `inputs` context of a called workflow from its caller's evaluated `with`.

    Defaults may use the caller's github and vars. Raises `WorkflowError`, `ExpressionError`.
    """
    scope = Scope({name: contexts.get(name) or {} for name in ("github", "inputs", "vars")})
    trigger = workflow.triggers.get("workflow_call")
    if trigger is None:
        raise WorkflowError(f"{workflow.path} cannot be called: add `workflow_call:` under `on:`")
    inputs = {
        name: replace(item, default=resolve(item.default, scope)) for name, item in trigger.inputs.items()
    }
    evaluated = replace(workflow, triggers={"workflow_call": replace(trigger, inputs=inputs)})
    return dispatch_inputs(evaluated, given, "workflow_call")


def called_outputs(
    workflow: Workflow, results: Mapping[str, JobResult], contexts: Mapping[str, Any]
) -> dict[str, str]:
    """Return what a called workflow puts out, for its caller's `needs`. `results` are those of its own jobs.

    Raises `ExpressionError`.
    """
    jobs = {key: {"result": item.result, "outputs": dict(item.outputs)} for key, item in results.items()}
    scope = Scope({**{name: contexts.get(name) or {} for name in ("github", "inputs", "vars")}, "jobs": jobs})
    trigger = workflow.triggers.get("workflow_call")
    outputs = trigger.outputs if trigger else {}
    return {name: interpolate(template, scope) for name, template in outputs.items()}


def passed_secrets(given: Any, outer: Mapping[str, str], contexts: Mapping[str, Any]) -> dict[str, str]:
    """Return the secrets of a called workflow: its caller's `secrets:` over those that the caller has itself.

    Nothing is passed that is not named; `inherit` passes all. `contexts` are the caller's own. Raises
    `ExpressionError`.
    """
    if given == "inherit":
        return dict(outer)
    if not isinstance(given, Mapping):
        return {}
    scope = Scope({**contexts, "secrets": outer})
    passed = {str(name): interpolate(to_string(value), scope) for name, value in given.items()}
    return {name: value for name, value in passed.items() if value}


class Loader:
    """Reads a workflow and what its jobs call, depth first, up to the first that is not well."""

    def __init__(self, problems: Problems, load: Load, options: Options, policy: Policy) -> None:
        self.problems = problems
        self.load = load
        self.options = options
        self.policy = policy

    def read(self, source: str, path: str) -> WithCalled:
        """Read a workflow and, where it is well, what its jobs call."""
        reading = read_file(source, path, self.problems, self.options)
        made = WithCalled(reading)
        if self.policy.follow and not self.problems and reading.workflow is not None:
            made.called = self.jobs(reading, reading.workflow.permissions, 1, "")
        return made

    def jobs(
        self, caller: Reading, permissions: Mapping[str, str] | None, depth: int, within: str
    ) -> dict[str, Called]:
        """Load what the jobs of a file call. `permissions` are what the file's jobs have by default.

        `within` is the called file itself, empty for the one that starts it all.
        """
        found: dict[str, Called] = {}
        jobs = caller.root.get("jobs") if caller.root else None
        for key, token in jobs.pairs if isinstance(jobs, MappingToken) else ():
            job = caller.workflow.jobs.get(text(key)) if caller.workflow else None
            if job is None or job.uses is None or not isinstance(token, MappingToken):
                continue
            if depth > self.policy.depth:
                self.problems.plain(
                    f"Nested reusable workflow depth exceeded {self.policy.depth}.", code="call-depth"
                )
                return found
            granted = job.permissions if job.permissions is not None else permissions
            called = self.one(key, token, absolute(job.uses, within), granted)
            if called is None:
                return found
            found[job.key] = called
            own = called.workflow.permissions
            most = own if own is not None else granted
            called.called = self.jobs(called.reading, most, depth + 1, called.ref)
            if self.problems:
                return found
        return found

    def one(
        self, key: Token, token: MappingToken, ref: str, granted: Mapping[str, str] | None
    ) -> Called | None:
        """Load and check one called workflow, None where something is wrong with it."""
        uses = token.get("uses") or key
        source = self.load(ref)
        if source is None:
            self.problems.add(uses, f"Unable to find reusable workflow '{ref}'", "unknown-workflow")
            return None
        since = len(self.problems.found)
        reading = read_file(source, ref, self.problems, self.options)
        if not self.problems and reading.workflow is not None:
            self.check_trigger(uses, token, reading)
            self.check_permissions(key, ref, reading.workflow, granted)
        file = self.problems.files[key.file - 1]
        prefix = f"In {file} (Line: {uses.line}, Col: {uses.column}): Error from called workflow "
        self.problems.prefix(prefix, since, file)
        return None if self.problems else Called(ref, reading)

    def check_trigger(self, uses: Token, token: MappingToken, reading: Reading) -> None:
        """Check that the workflow can be called, and so."""
        trigger = reading.workflow.triggers.get("workflow_call") if reading.workflow else None
        on = reading.root.get("on") if reading.root else None
        if trigger is None:
            message = "workflow_call key is not defined in the referenced workflow."
            self.problems.add(on or uses, message, "not-callable")
            return
        self.check_inputs(uses, token.get("with"), trigger)
        self.check_secrets(uses, token.get("secrets"), trigger)

    def check_inputs(self, uses: Token, given: Token | None, trigger: Trigger) -> None:
        """Check `with:` against the inputs that are declared."""
        values = dict(given.literal_pairs()) if isinstance(given, MappingToken) else {}
        for name, declared in trigger.inputs.items():
            value = lookup(values, name)
            if value is not None:
                self.check_kind(value, declared.type)
            elif declared.required:
                message = f"Input {name} is required, but not provided while calling."
                self.problems.add(uses, message, "missing-input")
        for name, value in values.items():
            if lookup(trigger.inputs, name) is None:
                message = f"Invalid input, {name} is not defined in the referenced workflow."
                self.problems.add(value, message, "unknown-input")

    def check_kind(self, token: Token, kind: str) -> None:
        """Check a literal value against an input's type."""
        if not isinstance(token, Literal) or kind == "string":
            return
        fits = isinstance(token.value, bool) if kind == "boolean" else type(token.value) in {int, float}
        if not fits:
            self.problems.add(token, f"Unexpected value '{text(token)}'", "unexpected-value")

    def check_secrets(self, uses: Token, given: Token | None, trigger: Trigger) -> None:
        """Check `secrets:` against the secrets that are declared; `inherit` passes."""
        if isinstance(given, Literal):
            return
        values = dict(given.literal_pairs()) if isinstance(given, MappingToken) else {}
        for name, required in trigger.secrets.items():
            if required and lookup(values, name) is None:
                message = f"Secret {name} is required, but not provided while calling."
                self.problems.add(uses, message, "missing-secret")
        for name, value in values.items():
            if lookup(trigger.secrets, name) is None:
                message = f"Invalid secret, {name} is not defined in the referenced workflow."
                self.problems.add(value, message, "unknown-secret")

    def check_permissions(
        self, key: Token, ref: str, workflow: Workflow, granted: Mapping[str, str] | None
    ) -> None:
        """Check that nothing in the called workflow asks for more than its caller has."""
        most = granted if granted is not None else self.by_policy(ref)
        if workflow.permissions is not None:
            self.check_request(key, f"{ref}'. The workflow '{ref}'", workflow.permissions, most)
        for job in workflow.jobs.values():
            if job.permissions is not None:
                self.check_request(key, f"{ref}'. The nested job '{job.name}'", job.permissions, most)

    def by_policy(self, ref: str) -> Mapping[str, str]:
        """Return what a caller has that names no permissions."""
        if self.policy.granted is not None:
            return self.policy.granted
        if self.policy.default != "Write":
            return RESTRICTED
        most = all_at("write", self.options.scopes)
        if not self.policy.trusted(ref):
            most.pop("id-token", None)
        return most

    def check_request(
        self, key: Token, who: str, requested: Mapping[str, str], granted: Mapping[str, str]
    ) -> None:
        """Note what is requested beyond what is granted."""
        more = exceeding(requested, granted, self.options.scopes)
        if more:
            asked = ", ".join(f"{scope}: {requested[scope]}" for scope in more)
            has = ", ".join(f"{scope}: {granted.get(scope, 'none')}" for scope in more)
            message = f"Error calling workflow '{who} is requesting '{asked}', but is only allowed '{has}'."
            self.problems.add(key, message, "permissions-exceeded")
