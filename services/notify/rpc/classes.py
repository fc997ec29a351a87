"""The class of each call, which says how many are answered at once (chassis/gates.py)."""

from chassis.gates import CallClass, classes

CLASSES = classes(
    {
        CallClass.ORDINARY: [
            "ContactService.UpdateContact",
            "ContactService.BatchUpdateContacts",
            "ContactService.GetContact",
            "ContactService.EraseContact",
            "InboxService.ListInbox",
            "InboxService.MarkInboxRead",
            "PreferenceService.UpdatePreferences",
            "PreferenceService.GetPreferences",
            "TextService.PublishTexts",
            "TextService.GetTexts",
        ],
        CallClass.STREAM: [
            "InboxService.WatchInbox",
        ],
    }
)
