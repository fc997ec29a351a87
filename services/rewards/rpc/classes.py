"""The class of each call, which says how many are answered at once (chassis/gates.py)."""

from chassis.gates import CallClass, classes

CLASSES = classes(
    {
        CallClass.ORDINARY: [
            "ApprovalService.ListPendingApprovals",
            "ApprovalService.ApproveRewards",
            "ContestService.GetLeaderboard",
            "ContestService.GetStanding",
            "PayoutService.RequestPayout",
            "PayoutService.ApprovePayout",
            "PayoutService.RejectPayout",
            "PayoutService.ReportPayout",
            "PayoutService.RetryPayout",
            "PayoutService.CancelPayout",
            "PayoutService.CreatePayoutBatch",
            "PayoutService.GetPayout",
            "PayoutService.ListPayouts",
            "PlanService.GetPlan",
            "PlanService.ListPlans",
            "RedemptionService.AuthorizeRedemption",
            "RedemptionService.CaptureRedemption",
            "RedemptionService.VoidRedemption",
            "RedemptionService.RefundRedemption",
            "RedemptionService.GetRedemption",
            "RedemptionService.PurchaseItem",
            "RedemptionService.ExchangeAsset",
            "RedemptionService.GiveAsset",
            "RewardService.ListRewards",
            "WalletService.GetAuditProgress",
            "WalletService.GetWallet",
            "WalletService.ListTransfers",
        ],
        CallClass.DECIDING: [
            "ApprovalService.RejectRewards",
            "PlanService.PublishPlan",
            "PlanService.ValidatePlan",
            "RewardService.ExplainReward",
            "RewardService.ExplainConversion",
        ],
        CallClass.SWEEPING: [
            "PayoutService.GetSettlementReport",
            "RewardService.GetProgramTotals",
            "WalletService.AuditLedger",
        ],
    }
)
