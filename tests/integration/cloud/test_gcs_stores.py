"""Landing zone, reports and deployments in a bucket: the contracts, corrections, competition, damage."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mlops_assets.domain.errors import StalePointerError, StorageError
from mlops_assets.domain.offers.delivery_ports import DeliveryId
from resources.file_cache import FileCache
from resources.gcs_agents import GcsAgentsStore
from resources.gcs_stores import GcsDeploymentStore, GcsLandingZone, GcsReportStore
from resources.object_store import ObjectStore
from tests.integration.cloud.contracts import contract_of
from tests.integration.cloud.gcs_server import FaultyProxy
from tests.unit.resources import test_deployment_store_contract, test_report_store
from tests.unit.resources.test_deployment_store_contract import (
    NOW,
    RELEASE,
    SHA,
    SLOT,
    make_pointer,
)

pytestmark = [pytest.mark.integration, pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")]

globals().update(contract_of(test_deployment_store_contract))
package = test_deployment_store_contract.package
# Of the reports, what does not rest on folders.
test_text_and_bytes_come_back = test_report_store.test_text_and_bytes_come_back
test_an_absent_report_is_named = test_report_store.test_an_absent_report_is_named
test_paths_that_leave_the_folder_are_refused = test_report_store.test_paths_that_leave_the_folder_are_refused


class GcsDeployments:
    """A deployment store in a bucket, as the contract sees it."""

    def __init__(self, objects: ObjectStore, folder: Path) -> None:
        self.store, self._objects = GcsDeploymentStore(objects, folder), objects

    def read_pointer(self, segment: str) -> bytes:
        """Return what is stored for a segment."""
        content = self._objects.read(f"pointers/churn/churn_risk/{segment}.json")
        assert content is not None
        return content

    def write_pointer(self, segment: str, content: bytes) -> None:
        """Replace what is stored for a segment."""
        self._objects.write(f"pointers/churn/churn_risk/{segment}.json", content)


@pytest.fixture
def objects(bucket: str) -> ObjectStore:
    return ObjectStore(bucket, "some/prefix", patience_s=3.0)


@pytest.fixture
def deployments(objects: ObjectStore, tmp_path: Path) -> GcsDeployments:
    return GcsDeployments(objects, tmp_path / "packages")


@pytest.fixture
def store(objects: ObjectStore) -> GcsReportStore:
    return GcsReportStore(objects)


def test_a_saved_report_says_where_it_is(store: GcsReportStore, objects: ObjectStore) -> None:
    path = store.save("churn/cl/card.html", "x")
    assert str(path) == f"gs://{objects.bucket_name}/some/prefix/churn/cl/card.html"
    assert f"{path}".endswith("card.html")
    assert path.name == "card.html"
    assert store.read("churn/cl/card.html", 1) == b"x"


def test_delivered_files_are_found_listed_and_copied(objects: ObjectStore, cache: FileCache) -> None:
    zone = GcsLandingZone(objects, cache)
    assert zone.find("cl", "a.csv") is None
    assert zone.list("cl") == []
    for name in ("b.csv", "a.csv", ".hidden.csv", "c.csv.part", "sub/d.csv"):
        objects.write(f"cl/{name}", b"12345")
    listed = zone.list("cl")
    assert [file.path.name for file in listed] == ["a.csv", "b.csv"]
    assert not listed[0].path.exists(), "a list copies nothing"
    found = zone.find("cl", "a.csv")
    assert found == listed[0]
    assert found is not None
    assert found.path.read_bytes() == b"12345"
    assert zone.find("cl", "c.csv.part") is None
    assert zone.list("pe") == []


def test_a_corrected_delivery_is_another_file(objects: ObjectStore, cache: FileCache) -> None:
    zone = GcsLandingZone(objects, cache)
    objects.write("cl/a.csv", b"wrong")
    first = zone.find("cl", "a.csv")
    objects.write("cl/a.csv", b"right")
    second = zone.find("cl", "a.csv")
    assert first is not None
    assert second is not None
    assert (first.path.read_bytes(), second.path.read_bytes()) == (b"wrong", b"right")
    assert second.modified_ns > first.modified_ns


@pytest.mark.parametrize("name", ["../pe/a.csv", "/etc/passwd", "a\x00", "a\\b", "..", ""])
def test_landing_names_that_leave_the_folder_are_refused(
    objects: ObjectStore, cache: FileCache, name: str
) -> None:
    for place in (("cl", name), (name, "a.csv")):
        with pytest.raises(StorageError, match="not allowed"):
            GcsLandingZone(objects, cache).find(*place)


def test_a_package_is_stored_once_and_copied_to_each_machine(
    objects: ObjectStore, package: Path, tmp_path: Path
) -> None:
    one = GcsDeploymentStore(objects, tmp_path / "one")
    assert one.package(SHA) is None
    folder = one.publish(SHA, package)
    (package / "package.json").write_text("changed")
    assert one.publish(SHA, package) == folder == one.package(SHA)
    other = GcsDeploymentStore(objects, tmp_path / "two").package(SHA)
    assert other is not None
    for copy in (folder, other):
        files = {p.relative_to(copy).as_posix(): p.read_text() for p in copy.rglob("*") if p.is_file()}
        assert files == {"package.json": "{}", "model/bundle.json": "[]"}
    assert [path.name for path in (tmp_path / "two").iterdir()] == [other.name]


def test_of_many_who_publish_a_package_one_does(objects: ObjectStore, package: Path, tmp_path: Path) -> None:
    def publish(number: int) -> str:
        return GcsDeploymentStore(objects, tmp_path / str(number)).publish(SHA, package).name

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(publish, range(8)))) == 1
    assert len(objects.list(f"bundles/{SHA}")) == 2, "what the others uploaded is gone"


def test_a_publication_that_fails_shows_nothing(
    objects: ObjectStore, package: Path, tmp_path: Path, proxy: FaultyProxy
) -> None:
    objects.patience_s = 0.3
    store = GcsDeploymentStore(objects, tmp_path / "packages")
    assert store.package(SHA) is None
    for allowed in range(3):  # two files, then the list of them
        seen = [0]

        def fail(method: str, _: str, allowed: int = allowed, seen: list[int] = seen) -> int | None:
            seen[0] += method == "POST"
            return 503 if method == "POST" and seen[0] > allowed else None

        proxy.fault = fail
        with pytest.raises(StorageError, match="does not answer"):
            store.publish(SHA, package)
        proxy.fault = lambda *_: None
        assert store.package(SHA) is None
    assert store.publish(SHA, package).is_dir()


def test_a_damaged_package_is_kept_aside_and_made_anew(
    objects: ObjectStore, package: Path, tmp_path: Path
) -> None:
    store = GcsDeploymentStore(objects, tmp_path / "packages")
    store.set_aside(SHA)
    damaged = store.publish(SHA, package)
    (damaged / "package.json").write_text("damaged copy")
    store.set_aside(SHA)
    assert store.package(SHA) is None
    assert len(objects.list("damaged")) == 1
    anew = store.publish(SHA, package)
    assert anew != damaged
    assert (anew / "package.json").read_text() == "{}"
    assert len(objects.list(f"bundles/{SHA}")) == 4, (
        "the files that were set aside stay for those who investigate"
    )


def test_a_swap_between_reading_and_writing_is_noticed(
    objects: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = GcsDeploymentStore(objects, tmp_path)
    store.swap(make_pointer(1))
    write = ObjectStore.write

    def write_late(self: ObjectStore, name: str, content: bytes, *, expected: int | None = None) -> int:
        monkeypatch.setattr(ObjectStore, "write", write)
        other = RELEASE.model_copy(update={"version": "other"})
        GcsDeploymentStore(objects, tmp_path).swap(make_pointer(2, serving=other))
        return write(self, name, content, expected=expected)

    monkeypatch.setattr(ObjectStore, "write", write_late)
    with pytest.raises(StalePointerError, match="changed by somebody else"):
        store.swap(make_pointer(2))
    pointer = store.pointer(SLOT)
    assert pointer is not None
    assert pointer.serving is not None
    assert pointer.serving.version == "other"


def test_a_package_list_that_names_files_outside_is_refused(
    objects: ObjectStore, package: Path, tmp_path: Path
) -> None:
    store = GcsDeploymentStore(objects, tmp_path / "packages")
    store.publish(SHA, package)
    shutil.rmtree(tmp_path / "packages")
    listing = objects.read(f"bundles/{SHA}.json")
    assert listing is not None
    for evil in (b"../package.json", b"/etc/passwd", b".hidden"):
        objects.write(f"bundles/{SHA}.json", listing.replace(b"package.json", evil))
        with pytest.raises(StorageError, match="cannot be trusted"):
            store.package(SHA)


def test_offers_are_delivered_replaced_and_withdrawn(
    objects: ObjectStore, cache: FileCache, tmp_path: Path
) -> None:
    agents, delivery = GcsAgentsStore(objects, cache), DeliveryId("personalized_offer", "cl", NOW.date())
    assert agents.find(delivery) is None
    assert not agents.withdraw(delivery)
    for content in ("first", "newer"):
        (tmp_path / "part.csv").write_text(content)
        path = agents.deliver(delivery, tmp_path / "part.csv")
        assert path.name == "personalized_offer_20260901.csv"
        found = agents.find(delivery)
        assert found is not None
        assert (path.read_text(), found.read_text()) == (content, content)
    assert [item.name for item in objects.list()] == ["cl/personalized_offer_20260901.csv"]
    assert agents.withdraw(delivery)
    assert agents.find(delivery) is None
    for bad in (DeliveryId("../x", "cl", NOW.date()), DeliveryId("x", "a/b", NOW.date())):
        with pytest.raises(StorageError, match="under this name"):
            agents.deliver(bad, tmp_path / "part.csv")
