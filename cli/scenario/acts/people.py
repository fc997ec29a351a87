"""Steps of participants and visitors: they join, are bound, make and share links and codes, and follow them."""

from upline.attribution.v1 import click_pb2, link_pb2, participant_pb2
from upline.notify.v1 import contact_pb2, notify_pb2

from chassis.times import to_timestamp
from cli.client import CALL_SECONDS
from cli.scenario.acts.table import Acts
from cli.scenario.run import ScenarioRun
from cli.scenario.shapes.people import Bind, Click, Enrol, MakeCode, MakeLink, Newcomer, SetAttributes, ShareInvitation


async def enrol(run: ScenarioRun, person: str, newcomer: Newcomer) -> None:
    """Enrols somebody, in their language and under their name."""
    if newcomer.language:
        await run.client.preferences.UpdatePreferences(
            notify_pb2.UpdatePreferencesRequest(
                request_id=run.request_id(),
                program_id=run.program_id,
                participant_id=person,
                preferences=notify_pb2.Preferences(locale=newcomer.language),
            ),
            timeout=CALL_SECONDS,
        )
    if newcomer.name or newcomer.time_zone:
        await run.client.contacts.UpdateContact(
            contact_pb2.UpdateContactRequest(
                request_id=run.request_id(),
                program_id=run.program_id,
                contact=contact_pb2.Contact(
                    participant_id=person, display_name=newcomer.name, time_zone=newcomer.time_zone
                ),
            ),
            timeout=CALL_SECONDS,
        )
    draft = participant_pb2.ParticipantDraft(
        participant_id=person,
        attributes=newcomer.attributes,
        sponsor_id=newcomer.sponsor,
        code=newcomer.code,
        click_token=await _click(run, newcomer.link, "") if newcomer.link else "",
        record_sign_up=newcomer.sign_up,
    )
    await run.client.participants.EnrollParticipant(
        participant_pb2.EnrollParticipantRequest(
            request_id=run.request_id(), program_id=run.program_id, participant=draft
        ),
        timeout=CALL_SECONDS,
    )


async def _enrol(run: ScenarioRun, action: Enrol) -> None:
    await enrol(run, action.person, action)


async def _bind(run: ScenarioRun, action: Bind) -> None:
    await run.client.participants.BindSponsor(
        participant_pb2.BindSponsorRequest(
            request_id=run.request_id(),
            program_id=run.program_id,
            participant_id=action.person,
            sponsor_id=action.sponsor,
        ),
        timeout=CALL_SECONDS,
    )


async def _set_attributes(run: ScenarioRun, action: SetAttributes) -> None:
    await run.client.participants.UpdateParticipant(
        participant_pb2.UpdateParticipantRequest(
            request_id=run.request_id(),
            program_id=run.program_id,
            participant_id=action.person,
            attributes=action.attributes,
        ),
        timeout=CALL_SECONDS,
    )


async def _make_link(run: ScenarioRun, action: MakeLink) -> None:
    answer = await run.client.links.CreateLink(
        link_pb2.CreateLinkRequest(
            request_id=run.request_id(),
            program_id=run.program_id,
            participant_id=action.owner,
            destination_url=action.to,
            channel=action.channel,
            campaign=action.campaign,
            share_percent=action.share_percent,
        ),
        timeout=CALL_SECONDS,
    )
    run.links[action.id] = answer.link.link_id


async def _make_code(run: ScenarioRun, action: MakeCode) -> None:
    await run.client.links.CreateCode(
        link_pb2.CreateCodeRequest(
            request_id=run.request_id(),
            program_id=run.program_id,
            participant_id=action.owner,
            code=action.code,
            channel=action.channel,
            share_percent=action.share_percent,
        ),
        timeout=CALL_SECONDS,
    )


async def _share(run: ScenarioRun, action: ShareInvitation) -> None:
    await run.client.links.RecordShare(
        link_pb2.RecordShareRequest(
            request_id=run.request_id(),
            program_id=run.program_id,
            participant_id=action.by,
            link_id=run.links[action.link] if action.link else "",
            code=action.code,
            channel=action.channel,
        ),
        timeout=CALL_SECONDS,
    )


async def _follow(run: ScenarioRun, action: Click) -> None:
    run.click_tokens[action.id] = await _click(run, action.link, action.visitor)


async def _click(run: ScenarioRun, link: str, visitor: str) -> str:
    """Follows a link now; returns the click's token."""
    click = click_pb2.Click(
        program_id=run.program_id,
        link_id=run.links[link],
        visitor_id=visitor,
        occurred_at=to_timestamp(run.now),
    )
    answer = await run.client.clicks.RecordClick(click_pb2.RecordClickRequest(click=click), timeout=CALL_SECONDS)
    return str(answer.click_token)


ACTS: Acts = {
    Enrol: _enrol,
    Bind: _bind,
    SetAttributes: _set_attributes,
    MakeLink: _make_link,
    MakeCode: _make_code,
    ShareInvitation: _share,
    Click: _follow,
}
