// Checks requests by the contract's own rules before they are sent, with protovalidate, and shows that the service
// finds the same. Then it does what the client in go-plain does: two people, an order, the wallets to the cent.
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log"
	"os"
	"slices"
	"time"

	"buf.build/go/protovalidate"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	attribution "client.example/shop/stubs/upline/attribution/v1"
	rewards "client.example/shop/stubs/upline/rewards/v1"
	typev1 "client.example/shop/stubs/upline/type/v1"
)

const (
	program      = "uds"
	callDeadline = 10 * time.Second // the services refuse a call without one
	paidWithin   = 30 * time.Second
)

func main() {
	log.SetFlags(0)
	intake := connect("UPLINE_ATTRIBUTION_ADDR", "127.0.0.1:7101")
	ledger := connect("UPLINE_REWARDS_ADDR", "127.0.0.1:7102")
	defer intake.Close()
	defer ledger.Close()
	suffix := rand.Text()[:8] // so that every run enrols new people
	ann, ben := "ann-"+suffix, "ben-"+suffix

	people := attribution.NewParticipantServiceClient(intake)
	for _, draft := range []*attribution.ParticipantDraft{{ParticipantId: ann}, {ParticipantId: ben, SponsorId: ann}} {
		request := &attribution.EnrollParticipantRequest{
			RequestId:   "enrol-" + draft.ParticipantId,
			ProgramId:   program,
			Participant: draft,
		}
		twice(people.EnrollParticipant, request)
	}

	draft := &attribution.ConversionDraft{
		ConversionId: "order-" + suffix,
		EventType:    "order",
		BuyerId:      ben,
		Amount:       &typev1.Money{CurrencyCode: "RUB", AmountMinor: 2_500_00},
	}
	order := &attribution.RecordConversionRequest{ProgramId: program, Conversion: draft}
	conversions := attribution.NewConversionServiceClient(intake)
	refusedAlike(conversions, proto.CloneOf(order))
	twice(conversions.RecordConversion, order)

	wallets := rewards.NewWalletServiceClient(ledger)
	holds(wallets, ben, 125_00, 0) // 5 % of 2,500.00 at once
	holds(wallets, ann, 0, 75_00)  // 3 %, held until the goods cannot be returned any more
	log.Print("as it should be")
}

func connect(variable, fallback string) *grpc.ClientConn {
	address := fallback
	if named := os.Getenv(variable); named != "" {
		address = named
	}
	connection, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		log.Fatal(err)
	}
	return connection
}

// refusedAlike spoils an order in three places, and compares what protovalidate and the service find.
func refusedAlike(conversions attribution.ConversionServiceClient, order *attribution.RecordConversionRequest) {
	order.ProgramId = ""
	order.Conversion.BuyerId = ""
	order.Conversion.EventType = "Order!"
	found := fieldsFoundHere(order)
	log.Printf("found before sending: %v", found)
	if len(found) != 3 {
		log.Fatal("expected three fields at fault")
	}
	ctx, cancel := context.WithTimeout(context.Background(), callDeadline)
	defer cancel()
	_, err := conversions.RecordConversion(ctx, order)
	if told := fieldsTold(err); status.Code(err) != codes.InvalidArgument || !slices.Equal(told, found) {
		log.Fatalf("the service found %v: %v", told, err)
	}
}

// fieldsFoundHere are the fields of a request that break a rule of the contract, without asking anybody.
func fieldsFoundHere(request proto.Message) []string {
	var invalid *protovalidate.ValidationError
	err := protovalidate.Validate(request)
	if err != nil && !errors.As(err, &invalid) {
		log.Fatal(err)
	}
	var fields []string
	if invalid != nil {
		for _, violation := range invalid.Violations {
			fields = append(fields, protovalidate.FieldPathString(violation.Proto.GetField()))
		}
	}
	return fields
}

// fieldsTold are the fields that the error's google.rpc.BadRequest names.
func fieldsTold(err error) []string {
	var fields []string
	for _, detail := range status.Convert(err).Details() {
		if bad, ok := detail.(*errdetails.BadRequest); ok {
			for _, violation := range bad.GetFieldViolations() {
				fields = append(fields, violation.GetField())
			}
		}
	}
	return fields
}

// twice checks a request and sends it two times: the second changes nothing and gives the same answer.
func twice[Request, Response proto.Message](
	method func(context.Context, Request, ...grpc.CallOption) (Response, error), request Request,
) {
	if fields := fieldsFoundHere(request); len(fields) > 0 {
		log.Fatalf("%v are at fault in %v", fields, request)
	}
	first, again := call(method, request), call(method, request)
	if !proto.Equal(first, again) {
		log.Fatalf("the second answer is another one: %v, %v", first, again)
	}
}

// call calls a method with a deadline.
func call[Request, Response proto.Message](
	method func(context.Context, Request, ...grpc.CallOption) (Response, error), request Request,
) Response {
	ctx, cancel := context.WithTimeout(context.Background(), callDeadline)
	defer cancel()
	response, err := method(ctx, request)
	if err != nil {
		log.Fatal(err)
	}
	return response
}

// holds waits until a wallet holds exactly that: rewards follow a recorded order within moments.
func holds(wallets rewards.WalletServiceClient, name string, available, held int64) {
	found := ""
	for end := time.Now().Add(paidWithin); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		wallet := call(wallets.GetWallet, &rewards.GetWalletRequest{ProgramId: program, ParticipantId: name})
		for _, each := range wallet.GetBalances() {
			if each.GetAsset() == "points" && each.GetAvailableMinor() == available && each.GetHeldMinor() == held {
				log.Printf("%s: %d points available, %d held, in hundredths", name, available, held)
				return
			}
		}
		found = fmt.Sprint(wallet.GetBalances())
	}
	log.Fatalf("%s has %s; expected %d available and %d held", name, found, available, held)
}
