// Enrols two people, records an order of the second, and checks what each has in the wallet, with stubs made by plain
// protoc.
package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"log"
	"os"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	attribution "upline.internal/go/attribution/v1"
	rewards "upline.internal/go/rewards/v1"
	typev1 "upline.internal/go/type/v1"
)

const (
	program      = "uds"
	callDeadline = 10 * time.Second // the services refuse a call without one
	paidWithin   = 30 * time.Second
)

func main() {
	log.SetFlags(0)
	if err := run(); err != nil {
		log.Fatal(err)
	}
	log.Print("as it should be")
}

func run() error {
	intake, err := connect("UPLINE_ATTRIBUTION_ADDR", "127.0.0.1:7101")
	if err != nil {
		return err
	}
	defer intake.Close()
	ledger, err := connect("UPLINE_REWARDS_ADDR", "127.0.0.1:7102")
	if err != nil {
		return err
	}
	defer ledger.Close()

	suffix := rand.Text()[:8] // so that every run enrols new people
	ann, ben, orderID := "ann-"+suffix, "ben-"+suffix, "order-"+suffix
	people := attribution.NewParticipantServiceClient(intake)
	if err := enrol(people, ann, ""); err != nil {
		return err
	}
	if err := enrol(people, ben, ann); err != nil {
		return err
	}
	if err := order(attribution.NewConversionServiceClient(intake), orderID, ben, ann); err != nil {
		return err
	}
	if err := untilPaid(rewards.NewRewardServiceClient(ledger), orderID, 2); err != nil {
		return err
	}
	wallets := rewards.NewWalletServiceClient(ledger)
	if err := holds(wallets, ben, 125_00, 0); err != nil { // 5 % of 2,500.00 at once
		return err
	}
	return holds(wallets, ann, 0, 75_00) // 3 %, held until the goods cannot be returned any more
}

func connect(variable, fallback string) (*grpc.ClientConn, error) {
	address := os.Getenv(variable)
	if address == "" {
		address = fallback
	}
	return grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
}

// enrol enrols somebody twice: the same request_id gives the same answer, so a call that failed half-way is simply
// repeated.
func enrol(people attribution.ParticipantServiceClient, name, sponsor string) error {
	request := &attribution.EnrollParticipantRequest{
		RequestId:   "enrol-" + name,
		ProgramId:   program,
		Participant: &attribution.ParticipantDraft{ParticipantId: name, SponsorId: sponsor},
	}
	first, err := call(people.EnrollParticipant, request)
	if err != nil {
		return err
	}
	again, err := call(people.EnrollParticipant, request)
	if err != nil {
		return err
	}
	if !proto.Equal(first, again) {
		return fmt.Errorf("the second answer about %s is another one: %v, %v", name, first, again)
	}
	log.Printf("%s, invited by %q", name, first.GetParticipant().GetBinding().GetSponsorId())
	return nil
}

// order records an order of 2,500.00 roubles, after one that is refused because nobody is said to have bought.
func order(conversions attribution.ConversionServiceClient, id, buyer, referrer string) error {
	draft := &attribution.ConversionDraft{
		ConversionId: id,
		EventType:    "order",
		Amount:       &typev1.Money{CurrencyCode: "RUB", AmountMinor: 2_500_00},
	}
	request := &attribution.RecordConversionRequest{ProgramId: program, Conversion: draft}
	_, err := call(conversions.RecordConversion, request)
	if status.Code(err) != codes.InvalidArgument || fieldAtFault(err) != "conversion.buyer_id" {
		return fmt.Errorf("an order without buyer: %w", err)
	}
	log.Printf("refused, as it should be: %v", status.Convert(err).Message())

	draft.BuyerId = buyer
	first, err := call(conversions.RecordConversion, request)
	if err != nil {
		return err
	}
	again, err := call(conversions.RecordConversion, request)
	if err != nil {
		return err
	}
	credit := first.GetConversion().GetAttribution()
	if !proto.Equal(first, again) || credit.GetReferrerId() != referrer {
		return fmt.Errorf("the order is credited to %v, then to %v", credit, again.GetConversion().GetAttribution())
	}
	log.Printf("%s of %s: credited to %s (%s)", id, buyer, credit.GetReferrerId(), credit.GetReason())
	return nil
}

// fieldAtFault is the first field that the error's google.rpc.BadRequest names.
func fieldAtFault(err error) string {
	for _, detail := range status.Convert(err).Details() {
		if bad, ok := detail.(*errdetails.BadRequest); ok && len(bad.GetFieldViolations()) > 0 {
			return bad.GetFieldViolations()[0].GetField()
		}
	}
	return ""
}

// untilPaid waits until an order is paid to so many people: rewards follow a recorded order within moments.
func untilPaid(rewarding rewards.RewardServiceClient, orderID string, people int) error {
	request := &rewards.ListRewardsRequest{
		ProgramId: program,
		Of:        &rewards.ListRewardsRequest_ConversionId{ConversionId: orderID},
	}
	for end := time.Now().Add(paidWithin); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		page, err := call(rewarding.ListRewards, request)
		if err != nil {
			return err
		}
		if len(page.GetRewards()) == people {
			return nil
		}
	}
	return fmt.Errorf("order %s was not paid to %d people within %s", orderID, people, paidWithin)
}

// holds checks a wallet to the cent. Amounts are whole minor units: integers, never floating-point numbers.
func holds(wallets rewards.WalletServiceClient, name string, available, held int64) error {
	wallet, err := call(wallets.GetWallet, &rewards.GetWalletRequest{ProgramId: program, ParticipantId: name})
	if err != nil {
		return err
	}
	for _, each := range wallet.GetBalances() {
		if each.GetAsset() == "points" && each.GetAvailableMinor() == available && each.GetHeldMinor() == held {
			log.Printf("%s: %d points available, %d held, in hundredths", name, available, held)
			return nil
		}
	}
	return fmt.Errorf("%s has %v; expected %d available and %d held", name, wallet.GetBalances(), available, held)
}

// call calls a method with a deadline.
func call[Request, Response any](
	method func(context.Context, Request, ...grpc.CallOption) (Response, error), request Request,
) (Response, error) {
	ctx, cancel := context.WithTimeout(context.Background(), callDeadline)
	defer cancel()
	return method(ctx, request)
}
