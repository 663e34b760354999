"""The three things that a launcher asks of Cloud Run, and what its answers mean.

Belongs here: requests to version 2 of the API, and telling apart "did not happen", "may have happened" and "refused".
Does not belong here: what is done about it (cloud_run_launcher).

The API starts a job by a POST that knows no idempotency token: an answer that is lost may hide an execution that began.
What an execution is for is therefore told to it by an environment variable, by which it is found again. The form of
requests and answers is that of https://cloud.google.com/run/docs/reference/rest/v2/projects.locations.jobs.executions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlencode, urlsplit

from mlops_assets.config.store_models import is_loopback
from mlops_assets.domain.errors import ConfigError, PlatformError

if TYPE_CHECKING:
    from requests import Session

GOOGLE = "https://run.googleapis.com"
RUN_VARIABLE = "MLOPS_RUN_ID"
_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_CONNECT_S, _ANSWER_S = 5.0, 30.0
_BUSY = 429
_PAGE = 100
_MOST_PAGES = 20  # Cloud Run keeps 1000 executions a job

ExecutionStatus = Literal["running", "succeeded", "failed"]


class CloudRunError(PlatformError):
    """Cloud Run cannot do what was asked."""


class CloudRunBusyError(CloudRunError):
    """The request had no effect for sure: there was no connection, or too many requests; ask again."""

    is_retryable = True


class CloudRunUnclearError(CloudRunError):
    """The answer was lost or says that Cloud Run failed: whether the request had an effect is not known."""

    is_retryable = True


class CloudRunRefusedError(CloudRunError):
    """The request is refused for good: no rights, no such job, a wrong request."""


@dataclass(frozen=True)
class Execution:
    """One execution of a job.

    Attributes:
        name: projects/P/locations/R/jobs/J/executions/E.
        status: `running` also while it waits to start.
        text: what Cloud Run says about it; for people.
        log_uri: where its output can be read.
    """

    name: str
    status: ExecutionStatus
    text: str = ""
    log_uri: str = ""


class CloudRunApi:
    """Asks Cloud Run; safe for threads, one session a call.

    Args:
        endpoint: Google's, or a stand-in on this machine, which is asked without credentials.

    Raises:
        ConfigError: another address: credentials would go there.
    """

    def __init__(self, endpoint: str = GOOGLE) -> None:
        address = urlsplit(endpoint)
        self._is_google = endpoint == GOOGLE
        if not self._is_google and not (address.scheme == "http" and is_loopback(address.hostname or "")):
            raise ConfigError(
                "this is not the address of Cloud Run",
                where=endpoint,
                expected=f"{GOOGLE}, or http to this machine for tests",
                remedy="unset CLOUD_RUN_EMULATOR_HOST",
            )
        self.endpoint = endpoint

    def start(self, job: str, arguments: Sequence[str], run_id: str) -> str:
        """Start an execution and return its name.

        Args:
            job: projects/P/locations/R/jobs/J.
            arguments: for the container's entry point.
            run_id: by which the execution is found again.

        Raises:
            CloudRunBusyError: nothing was started.
            CloudRunUnclearError: it may have been started.
            CloudRunRefusedError: it cannot be started.
        """
        override = {"args": list(arguments), "env": [{"name": RUN_VARIABLE, "value": run_id}]}
        body = {"overrides": {"containerOverrides": [override], "taskCount": 1}}
        answer = self._ask("POST", f"{job}:run", body)
        name = (answer.get("metadata") or {}).get("name", "")
        if not name.startswith(f"{job}/executions/"):
            raise CloudRunUnclearError(
                "Cloud Run does not say which execution it started",
                where=job,
                expected="an operation whose metadata name the execution",
            )
        return str(name)

    def find(self, job: str, run_id: str) -> Execution | None:
        """Return the execution that was started for a run, one that still runs first; None if there is none.

        Raises:
            CloudRunError: it cannot be known.
        """
        found = [read_execution(one) for one in self._executions(job) if _run_of(one) == run_id]
        found.sort(key=lambda execution: execution.status != "running")
        return found[0] if found else None

    def read(self, name: str) -> Execution | None:
        """Return an execution; None if Cloud Run says that there is none of that name.

        Raises:
            CloudRunError: it cannot be known.
        """
        try:
            return read_execution(self._ask("GET", name))
        except _NotFoundError:
            return None

    def cancel(self, name: str) -> bool:
        """Ask an execution to stop; False if there is none, or it is over.

        Raises:
            CloudRunError: it may go on.
        """
        try:
            self._ask("POST", f"{name}:cancel", {})
        except _NotFoundError:
            return False
        except CloudRunRefusedError:
            # An execution that is over cannot be cancelled; anything else that was refused still stands.
            found = self.read(name)
            if found is None or found.status != "running":
                return False
            raise
        return True

    def _executions(self, job: str) -> Iterator[Mapping[str, Any]]:
        token = ""
        for _ in range(_MOST_PAGES):
            query = {"pageSize": _PAGE, "pageToken": token} if token else {"pageSize": _PAGE}
            answer = self._ask("GET", f"{job}/executions?{urlencode(query)}")
            yield from answer.get("executions", [])
            token = answer.get("nextPageToken", "")
            if not token:
                return

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        from google.auth.exceptions import GoogleAuthError, TransportError
        from requests import ConnectTimeout, RequestException

        where = path.partition("?")[0]
        try:
            with self._session() as session:
                answer = session.request(
                    method, f"{self.endpoint}/v2/{path}", json=body, timeout=(_CONNECT_S, _ANSWER_S)
                )
                status, content = answer.status_code, answer.content
        except (ConnectTimeout, TransportError) as error:
            raise CloudRunBusyError(
                f"Cloud Run cannot be reached ({_first_line(error)})", where=where
            ) from error
        except GoogleAuthError as error:  # no token, no request
            if error.retryable:
                raise CloudRunBusyError(
                    f"there is no token now ({_first_line(error)})", where=where
                ) from error
            raise _refused(_first_line(error), where) from error
        except RequestException as error:
            kind = CloudRunBusyError if _was_never_sent(error) else CloudRunUnclearError
            raise kind(f"Cloud Run does not answer ({_first_line(error)})", where=where) from error
        return _read_answer(status, content, where)

    def _session(self) -> Session:
        """Return a session; Google's library repeats nothing by itself that may have had an effect."""
        if not self._is_google:
            from requests import Session

            return Session()
        import google.auth
        from google.auth.transport.requests import AuthorizedSession

        credentials, _ = google.auth.default(scopes=[_SCOPE])
        return AuthorizedSession(credentials)


class _NotFoundError(CloudRunRefusedError):
    """Cloud Run itself says that there is no such thing."""


def read_execution(answer: Mapping[str, Any]) -> Execution:
    """Return what an answer of the API says; what is not known to be over counts as running."""
    done: Mapping[str, Any] = next(
        (one for one in answer.get("conditions", []) if one.get("type") == "Completed"), {}
    )
    is_failed = (
        int(answer.get("failedCount", 0)) + int(answer.get("cancelledCount", 0)) > 0
        or done.get("state") == "CONDITION_FAILED"
    )
    is_over = bool(answer.get("completionTime")) or done.get("state") in {
        "CONDITION_FAILED",
        "CONDITION_SUCCEEDED",
    }
    status: ExecutionStatus = "running"
    if is_over and is_failed:
        status = "failed"
    elif is_over and int(answer.get("succeededCount", 0)) > 0:
        status = "succeeded"
    return Execution(answer.get("name", ""), status, done.get("message", ""), answer.get("logUri", ""))


def _run_of(answer: Mapping[str, Any]) -> str:
    containers = (answer.get("template") or {}).get("containers", [])
    variables = [one for container in containers for one in container.get("env", [])]
    return next((one.get("value", "") for one in variables if one.get("name") == RUN_VARIABLE), "")


def _read_answer(status: int, content: bytes, where: str) -> dict[str, Any]:
    """Return an answer's JSON object; anything but a clear word of Cloud Run is unclear."""
    import json

    try:
        found = json.loads(content or b"{}")
    except ValueError:
        found = None
    error = found.get("error") if isinstance(found, dict) else None
    said = f"{status} {error.get('message', '') if isinstance(error, dict) else ''}".strip()[:300]
    if status < 300 and isinstance(found, dict):
        return found
    if not isinstance(error, dict) or status < 400 or status >= 500:  # a proxy's page is not Cloud Run's word
        raise CloudRunUnclearError(f"Cloud Run answers {said}", where=where)
    if status == _BUSY:
        raise CloudRunBusyError(f"Cloud Run takes no more requests now ({said})", where=where)
    if error.get("status") == "NOT_FOUND":
        raise _NotFoundError(
            f"Cloud Run knows no such thing ({said})",
            where=where,
            expected="a job or execution that is there",
            remedy="deploy the jobs, or correct `runs` in the environment's file",
        )
    raise _refused(said, where)


def _refused(said: str, where: str) -> CloudRunRefusedError:
    return CloudRunRefusedError(
        f"Cloud Run refuses ({said})",
        where=where,
        expected="a service account that may run and cancel this job (roles/run.developer on it)",
        remedy="grant it, or correct `runs` in the environment's file",
    )


def _was_never_sent(error: Exception) -> bool:
    """Whether there was no connection at all."""
    from urllib3.exceptions import MaxRetryError, NewConnectionError

    cause = error.args[0] if error.args else None
    return isinstance(cause, MaxRetryError) and isinstance(cause.reason, NewConnectionError)


def _first_line(error: object) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:300]
