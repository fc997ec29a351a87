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
            "WebhookService.CreateWebhook",
            "WebhookService.RotateWebhookSecret",
            "WebhookService.UpdateWebhook",
            "WebhookService.ListWebhooks",
            "WebhookService.DeleteWebhook",
            "DeliveryService.ListDeliveries",
            "DeliveryService.GetDelivery",
            "DeliveryService.RedeliverDelivery",
        ],
        CallClass.STREAM: [
            "InboxService.WatchInbox",
        ],
    }
)
