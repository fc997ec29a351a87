"""Every command against a running stack, as a script would use it."""

import csv
import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

from cli.replay.data import PURCHASE_COLUMNS
from tests.e2e.stacks import Up, environment, until, up, upline
from tests.integration.rewards.conftest import message, recorded

THREE_LEVELS = Path("programs/three-levels.yaml")
SPONSORS = [("a", ""), ("b", "a"), ("c", "b"), ("d", "c"), ("e", "d"), ("x", "")]
PURCHASES = [
    ("o1", "e", 10_001),
    ("o2", "e", 99),
    ("o3", "b", 1_000),
    ("o4", "x", 5_000),
    ("o5", "d", 0),
    ("o6", "new", 700),
]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """One stack for the module; each test has programs of its own."""
    with up(Path(tmp_path_factory.mktemp("cli")) / "upline") as running:
        yield running
        assert running.stop() == 0


def program_file(folder: Path, program_id: str, **changes: Any) -> Path:
    """The three-level program under another name."""
    content = yaml.load(THREE_LEVELS.read_text().replace("on:", "'on':"), Loader=yaml.SafeLoader)
    content["program"]["program_id"] = program_id
    file = folder / f"{program_id}.yaml"
    file.write_text(yaml.safe_dump(content | changes, sort_keys=False))
    return file


def as_json(stack: Up, *arguments: str, check: bool = True) -> Any:
    """The value on the last line of stdout."""
    return json.loads(upline(*arguments, "--json", state=stack.state, check=check).stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def replayed(stack: Up, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, list[str]]:
    """A program with a few purchases of which the sums are known by hand; the arguments replay them again."""
    folder = Path(tmp_path_factory.mktemp("input"))
    with (folder / "sponsors.csv").open("w") as stream:
        csv.writer(stream).writerows([("participant", "sponsor"), *SPONSORS])
    with (folder / "purchases.csv").open("w") as stream:
        rows = [(order, buyer, "1997-01-01T12:00:00Z", minor, "USD") for order, buyer, minor in PURCHASES]
        csv.writer(stream).writerows([("conversion_id", "buyer", "occurred_at", "amount_minor", "currency"), *rows])
    file = program_file(folder, "cli-replayed")
    arguments = [
        "replay",
        "--program",
        str(file),
        "--purchases",
        str(folder / "purchases.csv"),
        "--sponsors",
        str(folder / "sponsors.csv"),
    ]
    result = as_json(stack, *arguments)
    # o1: 500 to d, 200 to c, 100 to b; o2: 4 to d, 1 to c, 0 to b; o3: 50 to a; the others have no upline or no amount.
    assert {name: result[name] for name in ("orders", "gross_minor", "rewards", "rewarded_minor", "earners")} == {
        "orders": 6, "gross_minor": 16_800, "rewards": 6, "rewarded_minor": 855, "earners": 4,
    }  # fmt: skip
    assert result["top"] == [
        {"participant": "d", "amount_minor": 504},
        {"participant": "c", "amount_minor": 201},
        {"participant": "b", "amount_minor": 100},
    ]
    assert result["ledger_balanced"] is True
    return "cli-replayed", arguments


def test_a_second_replay_changes_nothing(stack: Up, replayed: tuple[str, list[str]]) -> None:
    result = as_json(stack, *replayed[1])
    assert (result["recorded_now"], result["enrolled_now"]) == (0, 0)
    assert (result["orders"], result["rewards"], result["rewarded_minor"]) == (6, 6, 855)


def test_a_replay_where_orders_of_before_a_binding_credit_nobody(
    stack: Up, tmp_path: Path, replayed: tuple[str, list[str]]
) -> None:
    file = program_file(tmp_path, "cli-strict")
    file.write_text(file.read_text().replace("credit_before_binding: CREDITED", "credit_before_binding: NOT_CREDITED"))
    arguments = [str(file) if each.endswith("cli-replayed.yaml") else each for each in replayed[1]]
    for enrolled in (len(SPONSORS), 0):
        result = as_json(stack, *arguments)
        assert (result["rewarded_minor"], result["enrolled_now"]) == (855, enrolled), "bound with the first order"
    sponsors = Path(arguments[-1]).read_text().splitlines()
    late = tmp_path / "late.csv"
    late.write_text("\n".join([f"{sponsors[0]},bind_time", *(f"{each},1997-01-01T12:01:01Z" for each in sponsors[1:])]))
    strict = file.read_text().replace("cli-strict", "cli-stricter")
    file.write_text(strict)
    result = as_json(stack, *arguments[:-1], str(late))
    assert (result["orders"], result["rewards"]) == (6, 0), "all of them were a minute and a second too early"


def test_a_mistake_in_a_file_is_told_before_anybody_is_enrolled(
    stack: Up, tmp_path: Path, replayed: tuple[str, list[str]]
) -> None:
    purchases, sponsors = tmp_path / "wrong.csv", tmp_path / "new.csv"
    sponsors.write_text("participant,sponsor\nfresh,\n")
    purchases.write_text(
        f"{','.join(PURCHASE_COLUMNS)}\no7,fresh,1997-01-01T12:00:00Z,100,USD\no8,fresh,1997-01-01T12:00:00Z,100,EUR\n"
    )
    arguments = [*replayed[1][:3], "--purchases", str(purchases), "--sponsors", str(sponsors)]
    refused = upline(*arguments, state=stack.state, check=False)
    assert (refused.returncode, refused.stderr.splitlines()) == (
        1,
        [f"{purchases}:3: currency: the program counts in USD, found 'EUR'", "nothing was changed"],
    )
    assert upline("tree", "cli-replayed", "fresh", state=stack.state, check=False).returncode == 1


def test_what_a_service_says_of_a_row_is_told_by_its_line(
    stack: Up, tmp_path: Path, replayed: tuple[str, list[str]]
) -> None:
    purchases = tmp_path / "again.csv"
    rows = ["o9,e,1997-01-01T12:00:00Z,100,USD", "o1,e,1997-01-01T12:00:00Z,7,USD"]
    purchases.write_text("\n".join([",".join(PURCHASE_COLUMNS), *rows]) + "\n")
    refused = upline(*replayed[1][:3], "--purchases", str(purchases), *replayed[1][5:], state=stack.state, check=False)
    assert refused.returncode == 1
    assert f"{purchases}:3: conversion_id: conversion 'o1' is recorded with another content" in refused.stderr


def test_a_simulation_of_no_program_and_of_a_wrong_draft_are_sentences(stack: Up, tmp_path: Path) -> None:
    draft = program_file(tmp_path, "cli-nobody")
    unknown = upline("simulate", "--plan", str(draft), state=stack.state, check=False)
    assert (unknown.returncode, unknown.stderr.splitlines()[-1]) == (1, "program 'cli-nobody' does not exist")
    draft.write_text(draft.read_text().replace("asset: USD", "asset: EUR"))
    wrong = upline("simulate", "--plan", str(draft), state=stack.state, check=False)
    assert wrong.returncode == 1
    assert wrong.stderr.startswith(f"{draft}:")
    assert "plan.rules[0].asset: " in wrong.stderr


def test_wallets(stack: Up, replayed: tuple[str, list[str]]) -> None:
    answer = as_json(stack, "wallet", replayed[0], "d", "--transfers", "10")
    assert [each["available_minor"] for each in answer["balances"]] == [504]
    assert sorted(each["amount_minor"] for each in answer["transfers"]) == [4, 500]
    assert "5.04 USD" in upline("wallet", replayed[0], "d", "--transfers", "10", state=stack.state).stdout


def test_trees(stack: Up, replayed: tuple[str, list[str]]) -> None:
    answer = as_json(stack, "tree", replayed[0], "c")
    assert [each["participant_id"] for each in answer["upline"]] == ["b", "a"]
    assert [(each["participant_id"], each["level"]) for each in answer["downline"]] == [("d", 1), ("e", 2)]
    drawn = upline("tree", replayed[0], "c", state=stack.state).stdout
    assert [line.strip(" │├└─") for line in drawn.splitlines()] == ["a", "b", "c", "d", "e"]
    assert as_json(stack, "tree", replayed[0], "a", "--depth", "0", "--limit", "2")["truncated"] is True


def test_explanations(stack: Up, replayed: tuple[str, list[str]]) -> None:
    answer = as_json(stack, "explain", "conversion", replayed[0], "o2")
    outcomes = [(each["level"], each["outcome"], each["exact_minor"]) for each in answer["derivations"]]
    assert outcomes == [(1, "PAID", "4.95"), (2, "PAID", "1.98"), (3, "ROUNDS_TO_ZERO", "0.99")]
    assert "o2" in upline("explain", "conversion", replayed[0], "o2", state=stack.state).stdout or answer["sentence"]
    reward = as_json(stack, "wallet", replayed[0], "d", "--transfers", "10")["transfers"][0]["reward_id"]
    told = as_json(stack, "explain", "reward", replayed[0], reward)
    assert told["reward"]["beneficiary_id"] == "d"
    russian = as_json(stack, "explain", "conversion", replayed[0], "o2", "--locale", "ru")
    assert re.search("[а-я]", russian["sentence"] + russian["derivations"][0]["sentence"])


def test_the_audit_covers_the_program(stack: Up, replayed: tuple[str, list[str]]) -> None:
    answer = as_json(stack, "audit", replayed[0])
    assert (answer["balanced"], answer["reward_count"], answer["findings"]) == (True, 6, [])
    assert upline("audit", state=stack.state).stdout.startswith("the ledger balances: ")


def test_taking_everything_back_leaves_nothing(stack: Up, tmp_path: Path, replayed: tuple[str, list[str]]) -> None:
    file = program_file(tmp_path, "cli-reversed")
    arguments = [str(file) if each.endswith("cli-replayed.yaml") else each for each in replayed[1]]
    for _run in range(2):
        result = as_json(stack, *arguments, "--reverse-in-parts", "2")
        reversal = result["reversal"]
        assert (reversal["wallets_not_zero"], reversal["wallets_checked"], reversal["reversed_minor"]) == (0, 7, 855)
        assert reversal["reversals"] == 11  # two of each order but the one of 0
        assert result["ledger_balanced"] is True
    assert reversal["recorded_now"] == 0


def test_everyone_who_earned_was_told(stack: Up, replayed: tuple[str, list[str]]) -> None:
    output = upline("inbox", replayed[0], "a", "--json", state=stack.state).stdout
    (entry,) = [json.loads(line) for line in output.splitlines()]
    assert (entry["conversion_id"], entry["kind"], entry["amounts"][0]["amount_minor"]) == ("o3", "REWARD_EARNED", 50)
    assert "not told anything" in upline("inbox", replayed[0], "x", state=stack.state).stdout


def test_a_watch_tells_what_is_written_from_now_on_and_ends_with_ctrl_c(stack: Up, tmp_path: Path) -> None:
    file, purchases = program_file(tmp_path, "cli-watched"), tmp_path / "p.csv"
    upline("apply", str(file), state=stack.state)
    command = [sys.executable, "-m", "cli", "inbox", "cli-watched", "a", "--watch", "--json"]
    with subprocess.Popen(
        command,
        env=environment() | {"UPLINE_STATE": str(stack.state)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as watch:
        assert watch.stderr is not None
        assert watch.stdout is not None
        assert watch.stderr.readline() == "watching; Ctrl-C ends\n"
        (tmp_path / "s.csv").write_text("participant,sponsor\na,\nb,a\n")
        purchases.write_text(
            "conversion_id,buyer,occurred_at,amount_minor,currency\no1,b,1997-01-01T12:00:00Z,1000,USD\n"
        )
        replay = [
            "replay",
            "--program",
            str(file),
            "--purchases",
            str(purchases),
            "--sponsors",
            str(tmp_path / "s.csv"),
        ]
        upline(*replay, state=stack.state)
        entry = json.loads(watch.stdout.readline())
        watch.send_signal(signal.SIGINT)
        assert watch.wait(30) == 0
    assert (entry["conversion_id"], entry["amounts"][0]["amount_minor"]) == ("o1", 50)


def test_applying_twice_changes_nothing(stack: Up, tmp_path: Path) -> None:
    file = program_file(tmp_path, "cli-applied")
    first, second = (as_json(stack, "apply", str(file)) for _ in range(2))
    assert (first["program"], first["plan"], first["changed"]) == ("created", "created", True)
    assert (second["program"], second["plan"], second["plan_version"], second["changed"]) == (
        "unchanged",
        "unchanged",
        1,
        False,
    )
    assert "nothing changed" in upline("apply", str(file), state=stack.state).stdout
    file.write_text(file.read_text().replace("title: Three levels", "title: Three").replace("- '5'", "- '6'"))
    third = as_json(stack, "apply", str(file))
    assert (third["program"], third["plan"], third["plan_version"]) == ("updated", "updated", 2)


def test_what_is_exported_applies_without_a_change(stack: Up, tmp_path: Path) -> None:
    upline("apply", "programs/uds.yaml", state=stack.state)
    file = tmp_path / "uds.yaml"
    file.write_text(upline("export", "uds", state=stack.state).stdout)
    assert as_json(stack, "apply", str(file))["changed"] is False


def test_a_file_comes_by_standard_input_where_it_is_not_at_hand(stack: Up, tmp_path: Path) -> None:
    text = program_file(tmp_path, "cli-piped").read_text()
    applied = upline("apply", "-", "--json", state=stack.state, stdin=text)
    assert json.loads(applied.stdout)["plan_version"] == 1
    checked = upline(
        "apply", "--check", "-", state=tmp_path / "none", stdin=text.replace("asset: USD", "asset: 7"), check=False
    )
    assert checked.stderr.startswith("standard input:"), checked.stderr


def test_what_a_service_refuses_is_told_with_its_line(stack: Up, tmp_path: Path) -> None:
    file = program_file(tmp_path, "cli-refused")
    file.write_text(file.read_text().replace("asset: USD", "asset: EUR"))
    line = next(number for number, text in enumerate(file.read_text().splitlines(), 1) if "asset: EUR" in text)
    refused = upline("apply", str(file), state=stack.state, check=False)
    assert refused.returncode == 1
    assert refused.stderr.startswith(f"{file}:{line}:5: plan.rules[0].asset: ")
    assert upline("wallet", "cli-refused", "olga", state=stack.state, check=False).returncode == 1


def test_a_file_is_checked_without_any_service(tmp_path: Path) -> None:
    assert "is valid" in upline("apply", "--check", "programs/uds.yaml", state=tmp_path / "none").stdout
    assert not (tmp_path / "none").exists()


def test_errors_are_sentences(stack: Up) -> None:
    unknown = upline("wallet", "no-such-program", "olga", state=stack.state, check=False)
    assert unknown.returncode == 1
    assert "no-such-program" in unknown.stderr
    assert "Traceback" not in unknown.stderr
    absent = upline("apply", "no-such-file.yaml", state=stack.state, check=False)
    assert (absent.returncode, absent.stderr) == (1, "no-such-file.yaml: No such file or directory\n")
    partial = upline("audit", "--target", "rewards=127.0.0.1:1", state=stack.state, check=False)
    assert partial.returncode == 2
    assert "--target attribution=HOST:PORT (or UPLINE_ATTRIBUTION_ADDR)" in partial.stderr


def test_services_elsewhere_are_named_by_target(stack: Up, tmp_path: Path) -> None:
    targets = [
        text for name, address in stack.published["services"].items() for text in ("--target", f"{name}={address}")
    ]
    assert upline("audit", *targets, state=tmp_path / "none").returncode == 0
    assert not (tmp_path / "none").exists()


def test_the_demo_plays_three_people_and_a_second_run_finds_them(stack: Up) -> None:
    arguments = [
        "demo",
        "--quick",
        *(text for name, address in stack.published["services"].items() for text in ("--target", f"{name}={address}")),
    ]
    first = upline(*arguments, state=stack.state)
    second = upline(*arguments, state=stack.state)
    for output in (first.stdout, second.stdout):
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", output), "control characters in a pipe"
        wallets = {line.split()[0]: line for line in output.splitlines() if re.match(r"(olga|maria|vera) +[0-9]", line)}
        assert "25.00 points" in wallets["olga"]
        assert "100.00 points" in wallets["olga"]
        assert "75.00 points" in wallets["maria"]
        assert "125.00 points" in wallets["vera"]
        assert "Спасибо" in output
    assert "they are here already" in second.stdout


@pytest.mark.parametrize(
    "command",
    [
        "up",
        "demo",
        "apply",
        "export",
        "replay",
        "wallet",
        "tree",
        "inbox",
        "audit",
        "doctor",
        "migrate",
        "health",
        "invite",
        "links",
        "approvals list",
        "approvals approve",
        "approvals reject",
        "contacts show",
        "contacts set",
        "contacts import",
        "contacts erase",
        "dead-letters list",
        "dead-letters show",
        "dead-letters requeue",
        "leaderboard",
        "explain conversion",
        "explain reward",
    ],
)
def test_every_command_explains_itself(command: str, tmp_path: Path) -> None:
    assert "Example" in upline(*command.split(), "--help", state=tmp_path).stdout


def test_a_plan_is_not_published_where_its_texts_are_refused(stack: Up, tmp_path: Path) -> None:
    file = program_file(tmp_path, "half-told")
    file.write_text(
        file.read_text()
        + "\ntexts:\n  locales:\n    - locale: en\n      templates:\n"
        + '        - {kind: REWARD_EARNED, title: "+{{ amuont }}", body: "{{ amount }}"}\n'
    )
    refused = upline("apply", str(file), state=stack.state, check=False)
    assert refused.returncode == 1
    assert "texts.locales[0].templates[0].title" in refused.stderr
    assert "the plan was not published" in refused.stderr
    wallet = upline("wallet", "half-told", "anybody", state=stack.state, check=False)
    assert "does not exist" in wallet.stderr


def test_invitations(stack: Up, replayed: tuple[str, list[str]]) -> None:
    code = as_json(stack, "invite", replayed[0], "d", "--code", "dee-10", "--share", "50.0")
    assert (code["code"], code["share_percent"]) == ("DEE-10", "50")
    link = as_json(stack, "invite", replayed[0], "d", "--to", "https://shop.example/", "--channel", "chat")
    assert link["url"].endswith(link["link_id"])
    answer = as_json(stack, "links", replayed[0], "d")
    assert (answer["codes"], answer["links"]) == ([code], [link])
    shown = upline("links", replayed[0], "d", state=stack.state).stdout
    assert "50 %" in shown
    assert link["url"] in shown
    refused = upline("invite", replayed[0], "d", "--share", "101", state=stack.state, check=False)
    assert refused.returncode == 1
    assert "share_percent: is more than 100 percent" in refused.stderr
    assert upline("invite", replayed[0], "d", "--campaign", "spring", state=stack.state, check=False).returncode == 2


def test_approvals(stack: Up, tmp_path: Path) -> None:
    changes = {"hold": {"approval": True}}
    content = yaml.load(THREE_LEVELS.read_text().replace("on:", "'on':"), Loader=yaml.SafeLoader)
    content["plan"]["rules"][0] |= changes
    upline("apply", str(program_file(tmp_path, "cli-approved", plan=content["plan"])), state=stack.state)
    with (tmp_path / "purchases.csv").open("w") as stream:
        rows = [(f"o{number}", "e", "1997-01-01T12:00:00Z", 10_000, "USD") for number in range(2)]
        csv.writer(stream).writerows([("conversion_id", "buyer", "occurred_at", "amount_minor", "currency"), *rows])
    with (tmp_path / "sponsors.csv").open("w") as stream:
        csv.writer(stream).writerows([("participant", "sponsor"), *SPONSORS])
    replay = ["--program", str(tmp_path / "cli-approved.yaml"), "--purchases", str(tmp_path / "purchases.csv")]
    upline("replay", *replay, "--sponsors", str(tmp_path / "sponsors.csv"), state=stack.state)
    waiting = as_json(stack, "approvals", "list", "cli-approved")["approvals"]
    assert [each["conversion_id"] for each in waiting] == ["o0", "o1"]
    assert "5.00 USD" in upline("approvals", "list", "cli-approved", state=stack.state).stdout
    refused = as_json(stack, "approvals", "reject", "cli-approved", "o0", "--reason", "fake")["rewards"]
    assert {(each["state"], each["rejection_reason"], each["net_minor"]) for each in refused} == {
        ("REJECTED", "fake", 0)
    }
    upline("approvals", "approve", "cli-approved", "o1", state=stack.state)
    assert as_json(stack, "approvals", "list", "cli-approved")["approvals"] == []
    again = upline("approvals", "approve", "cli-approved", "o0", state=stack.state, check=False)
    assert again.returncode == 1
    assert "were rejected" in again.stderr


def test_contacts(stack: Up, tmp_path: Path) -> None:
    def contact(participant: str) -> dict[str, str]:
        found = as_json(stack, "contacts", "show", "cli-contacts", participant)
        return {name: found[name] for name in ("display_name", "email", "time_zone", "locale")}

    upline(
        "contacts", "set", "cli-contacts", "maria", "--name", "Мария", "--email", "m@shop.example", state=stack.state
    )
    upline("contacts", "set", "cli-contacts", "maria", "--time-zone", "Europe/Berlin", "--email", "", state=stack.state)
    maria = {"display_name": "Мария", "email": "", "time_zone": "Europe/Berlin", "locale": ""}
    assert contact("maria") == maria
    nothing = upline("contacts", "set", "cli-contacts", "maria", state=stack.state, check=False)
    assert "nothing is given" in nothing.stderr

    file = tmp_path / "people.csv"
    rows = [("maria", "ru", ""), *((f"person-{number}", "en", "1997-01-01") for number in range(1_500))]
    file.write_text("participant,locale,email,email_verify_time\n")
    with file.open("a") as stream:
        csv.writer(stream).writerows((who, locale, f"{who}@shop.example", when) for who, locale, when in rows)
    upline("contacts", "import", "cli-contacts", str(file), state=stack.state)
    assert contact("maria") == maria | {"email": "maria@shop.example", "locale": "ru"}
    assert contact("person-1499")["locale"] == "en"
    shown = as_json(stack, "contacts", "show", "cli-contacts", "person-0")
    assert shown["email_verify_time"] == "1997-01-01T00:00:00Z"

    file.write_text("participant,email\nmaria,nobody\nolga,olga@shop.example\n")
    refused = upline("contacts", "import", "cli-contacts", str(file), state=stack.state, check=False)
    assert f"{file}:2: email: is not an e-mail address" in refused.stderr
    assert "nothing was changed" in refused.stderr
    erased = as_json(stack, "contacts", "erase", "cli-contacts", "maria")["erased"]
    assert erased == ["contact.display_name", "contact.email", "contact.time_zone", "contact.locale"]
    assert "nothing was kept" in upline("contacts", "erase", "cli-contacts", "maria", state=stack.state).stdout
    gone = upline("contacts", "show", "cli-contacts", "maria", state=stack.state, check=False)
    assert gone.returncode == 1


def test_dead_letters_of_the_stack_are_shown_and_put_back(stack: Up, tmp_path: Path) -> None:
    upline("apply", str(program_file(tmp_path, "cli-set-aside")), state=stack.state)
    letters = {"good": message(recorded("cli-set-aside", "o1", 10_000)), "bad": b"\xff\xff"}
    password = json.loads((stack.state / "secrets.json").read_text())["database_password"]
    url = f"postgresql://upline:{password}@127.0.0.1:{stack.published['postgres_port']}/upline"
    with psycopg.connect(url, autocommit=True) as conn:
        for name, payload in letters.items():
            conn.execute(
                "INSERT INTO rewards.dead_letter (consumer, message_id, subject, payload, error, attempts, park_time)"
                " VALUES ('rewards', %s, 'upline.conversions', %s, 'ValueError: no', 5, now())",
                [name, payload],
            )
        assert "ValueError: no" in upline("dead-letters", "list", state=stack.state).stdout
        checks = as_json(stack, "doctor", check=False)["checks"]
        assert [each["found"] for each in checks if each["check"] == "dead letters of rewards"] == ["2"]
        audit = upline("audit", state=stack.state, check=False)
        assert audit.returncode == 1
        assert audit.stdout.startswith("the ledger balances, and something on its way to it NEEDS A PERSON")
        audited = as_json(stack, "audit", check=False)
        assert (audited["balanced"], {each["concern"] for each in audited["findings"]}) == (
            False,
            {"FLOW"},
        )
        good, bad = (as_json(stack, "dead-letters", "show", name) for name in letters)
        assert good["content"]["events"][0]["recorded"]["conversion"]["draft"]["conversion_id"] == "o1"
        assert bad["payload_base64"] == "//8="
        conn.execute("DELETE FROM rewards.dead_letter WHERE message_id = 'bad'")
    assert as_json(stack, "dead-letters", "requeue", "--all") == {"requeued": ["good"]}
    assert as_json(stack, "dead-letters", "list") == {"dead_letters": []}
    until(lambda: bool(as_json(stack, "wallet", "cli-set-aside", "maria")["balances"][0]["available_minor"]), 20)
