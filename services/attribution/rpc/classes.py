"""The class of each call, which says how many are answered at once (chassis/gates.py)."""

from chassis.gates import CallClass, classes

CLASSES = classes(
    {
        CallClass.ORDINARY: [
            "ConversionService.RecordConversion",
            "ConversionService.RecordConversions",
            "ConversionService.ReverseConversion",
            "ConversionService.ReverseConversions",
            "ConversionService.GetConversion",
            "ConversionService.ListConversions",
            "LinkService.CreateLink",
            "LinkService.GetLink",
            "LinkService.ListLinks",
            "LinkService.CreateCode",
            "LinkService.ListCodes",
            "LinkService.ResolveCode",
            "LinkService.GetQrCode",
            "LinkService.RecordShare",
            "LinkService.GetShareCounts",
            "ParticipantService.EnrollParticipant",
            "ParticipantService.EnrollParticipants",
            "ParticipantService.GetParticipant",
            "ParticipantService.UpdateParticipant",
            "ParticipantService.BindSponsor",
            "ParticipantService.ListUpline",
            "ParticipantService.ListDownline",
            "ParticipantService.ListReferrals",
            "ProgramService.CreateProgram",
            "ProgramService.UpdateProgram",
            "ProgramService.GetProgram",
            "ProgramService.ListPrograms",
        ],
        CallClass.CLICKS: [
            "ClickService.RecordClick",
            "ClickService.RecordClicks",
        ],
        CallClass.STREAM: [
            "ClickService.StreamClicks",
        ],
    }
)
