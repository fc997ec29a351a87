"""Programs are told from people by their user agents."""

import pytest
from crawleruseragents import CRAWLER_USER_AGENTS_DATA
from hypothesis import given
from hypothesis import strategies as st

from services.attribution.wire.machines import is_machine

IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)"
ANDROID = (
    "Mozilla/5.0 (Linux; Android 13; SM-A525F{}) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/125.0.0.0"
)


def test_every_program_that_the_list_names_is_found() -> None:
    instances = [instance for each in CRAWLER_USER_AGENTS_DATA for instance in each["instances"]]
    assert len(instances) > 1_000
    assert [each for each in instances if not is_machine(each)] == []


@pytest.mark.parametrize(
    "user_agent",
    [
        "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
        "TelegramBot (like TwitterBot)",
        "WhatsApp/2.23.20.0 A",
        "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)",
        "Mozilla/5.0 (compatible; Discordbot/2.0; +https://discordapp.com)",
        "Mozilla/5.0 (compatible; vkShare; +http://vk.com/dev/Share)",
        "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
        "curl/8.5.0",
        "python-requests/2.31",
    ],
)
def test_previews_crawlers_and_libraries_are_machines(user_agent: str) -> None:
    assert is_machine(user_agent)


@pytest.mark.parametrize(
    "user_agent",
    [
        "",
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 "
        "Safari/537.36",
        "Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0",
        f"{IPHONE} Version/17.5 Mobile/15E148 Safari/604.1",
        f"{IPHONE} Mobile/15E148 [FBAN/FBIOS;FBAV/467.0.0.40.109;FBDV/iPhone14,5;FBSV/17.5;FBLC/en_US]",
        f"{IPHONE} Mobile/15E148 Instagram 334.0.0.42.95",
        f"{IPHONE} Mobile/15E148 [Pinterest/iOS]",
        f"{IPHONE} Mobile/15E148 [LinkedInApp]/9.29.1",
        f"{IPHONE} GSA/322.0.644099909 Mobile/15E148 Safari/604.1",
        f"{IPHONE} Mobile/15E148 MicroMessenger/8.0.49(0x18003137) NetType/WIFI Language/zh_CN",
        f"{IPHONE} Version/17.5 YaBrowser/24.6.3.336.10 SA/3 Mobile/15E148 Safari/604.1",
        f"{ANDROID.format('; wv')} Mobile Safari/537.36 [FB_IAB/FB4A;FBAV/467.0.0.40.109;IABMV/1;]",
        f"{ANDROID.format('; wv')} Mobile Safari/537.36 Telegram-Android/11.2.0 (Samsung SM-A525F; Android 13; SDK 33)",
        f"{ANDROID.format('; wv')} Mobile Safari/537.36 VKAndroidApp/8.90-23000",
        ANDROID.format("").replace("SM-A525F", "CUBOT X30") + " Mobile Safari/537.36",
    ],
)
def test_people_in_browsers_and_apps_are_not(user_agent: str) -> None:
    assert not is_machine(user_agent)


@given(st.text(st.characters(codec="utf-8"), max_size=1024))
def test_any_text_can_be_looked_at(user_agent: str) -> None:
    assert is_machine(user_agent) in (True, False)
    assert is_machine(f"{user_agent} TelegramBot {user_agent}")
