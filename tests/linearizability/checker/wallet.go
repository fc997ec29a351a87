package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/anishathalye/porcupine"
)

// wallet is one participant's coins, in minor units, as a system would hold them that does one thing at a time. Its
// redemptions and payouts are texts, so that two wallets can be compared with ==.
type wallet struct {
	available, reserved, debt int64
	redemptions, payouts      string
}

// item is a redemption or a payout.
type item struct {
	state                       string
	amount, captured, takenBack int64
}

// asked is how much a capture asks for: 0 stands for all of it.
func (i item) asked(amount int64) int64 {
	if amount == 0 {
		return i.amount
	}
	return amount
}

const (
	authorized = "authorized"
	captured   = "captured"
	voided     = "voided"
	approved   = "approved"
	sent       = "sent"
	paid       = "paid"
	failed     = "failed"
	bounced    = "bounced"
	rejected   = "rejected"
	cancelled  = "cancelled"
)

// A debt is repaid by a job of the service at a moment that no client sees: before every operation it may have been, or
// not. That is the only thing a wallet does by itself here.
var walletModel = porcupine.NondeterministicModel{
	Init: func() []any { return []any{wallet{}} },
	Step: func(state, input, _ any) []any {
		before := state.(wallet)
		states := []any{}
		for _, from := range []wallet{before, before.repaid()} {
			if after, possible := from.step(input.(Operation)); possible && !slices.Contains(states, any(after)) {
				states = append(states, after)
			}
			if before == before.repaid() {
				break
			}
		}
		return states
	},
	Equal:             func(a, b any) bool { return a.(wallet) == b.(wallet) },
	DescribeOperation: describe,
	DescribeState:     func(state any) string { return fmt.Sprintf("%+v", state) },
}

func (w wallet) repaid() wallet {
	back := min(w.available, w.debt)
	w.available, w.debt = w.available-back, w.debt-back
	return w
}

// step returns the wallet after an operation, and whether the answer that the client got is possible.
func (w wallet) step(o Operation) (wallet, bool) {
	id, amount := o.Arguments.ID, o.Arguments.Amount
	switch o.Kind {
	case "read":
		told := o.Result
		return w, told.Available == w.available && told.Reserved == w.reserved && told.Debt == w.debt && told.Held == 0
	case "earn":
		w.available += amount
		return w, o.done() && o.Result.Paid == amount
	case "claw_back":
		out := min(w.available, amount)
		w.available, w.debt = w.available-out, w.debt+amount-out
		return w, o.done()
	case "give":
		return w.spend(o, func(w wallet) wallet { return w })
	case "authorize":
		return w.spend(o, func(w wallet) wallet {
			w.reserved += amount
			w.redemptions = put(w.redemptions, id, item{authorized, amount, 0, 0})
			return w
		})
	case "request_payout":
		return w.spend(o, func(w wallet) wallet {
			w.reserved += amount
			w.payouts = put(w.payouts, id, item{approved, amount, 0, 0})
			return w
		})
	case "hand_over":
		var taken []string
		for _, each := range ids(w.payouts) {
			if payout := get(w.payouts, each); payout.state == approved {
				payout.state = sent
				w.payouts = put(w.payouts, each, payout)
				taken = append(taken, each)
			}
		}
		slices.Sort(taken)
		return w, o.done() && slices.Equal(taken, o.Result.Payouts)
	case "capture", "void", "refund":
		after, possible := w.redeem(o.Kind, id, amount)
		return answered(w, after, possible, o)
	default:
		after, possible := w.payOut(o.Kind, id)
		return answered(w, after, possible, o)
	}
}

// answered: a call that is possible is done, and one that is not is refused and changes nothing.
func answered(before, after wallet, possible bool, o Operation) (wallet, bool) {
	if possible {
		return after, o.done()
	}
	return before, !o.done()
}

// spend takes an amount out of what is left once the debt is repaid, which it is before anything is spent.
func (w wallet) spend(o Operation, then func(wallet) wallet) (wallet, bool) {
	if w.available-w.debt < o.Arguments.Amount {
		return w, o.Outcome == "INSUFFICIENT_BALANCE"
	}
	w = w.repaid()
	w.available -= o.Arguments.Amount
	return then(w), o.done()
}

func (w wallet) redeem(kind, id string, amount int64) (wallet, bool) {
	one := get(w.redemptions, id)
	switch {
	case kind == "capture" && one.state == authorized && amount <= one.amount:
		one.captured = one.asked(amount)
		w.reserved -= one.amount
		w.available += one.amount - one.captured
		one.state = captured
	case kind == "capture" && one.state == captured && one.captured == one.asked(amount):
		// The same again changes nothing.
	case kind == "void" && one.state == authorized:
		w.reserved, w.available = w.reserved-one.amount, w.available+one.amount
		one.state = voided
	case kind == "void" && one.state == voided:
		// The same again changes nothing.
	case kind == "refund" && one.state == captured && amount <= one.captured-one.takenBack:
		one.takenBack += amount
		w.available += amount
	default:
		return w, false
	}
	w.redemptions = put(w.redemptions, id, one)
	return w, true
}

func (w wallet) payOut(kind, id string) (wallet, bool) {
	one := get(w.payouts, id)
	switch kind + " " + one.state {
	case "reject_payout approved":
		w.reserved, w.available, one.state = w.reserved-one.amount, w.available+one.amount, rejected
	case "report_paid sent":
		w.reserved, one.state = w.reserved-one.amount, paid
	case "report_failed sent":
		one.state = failed
	case "report_bounced paid":
		w.available, one.state = w.available+one.amount, bounced
	case "cancel_payout failed":
		w.reserved, w.available, one.state = w.reserved-one.amount, w.available+one.amount, cancelled
	case "reject_payout rejected", "report_paid paid", "report_paid bounced", "report_failed failed",
		"report_failed cancelled", "report_bounced bounced", "cancel_payout cancelled":
		// The same again changes nothing; that it was paid is as true after it came back.
	default:
		return w, false
	}
	w.payouts = put(w.payouts, id, one)
	return w, true
}

// put writes an item into a text of items: "id|state|amount|captured|taken back" each, ended by ";", in the order of
// their ids.
func put(items, id string, one item) string {
	text := fmt.Sprintf("%s|%s|%d|%d|%d", id, one.state, one.amount, one.captured, one.takenBack)
	var all []string
	for _, each := range strings.Split(items, ";") {
		if each != "" && !strings.HasPrefix(each, id+"|") {
			all = append(all, each)
		}
	}
	all = append(all, text)
	slices.Sort(all)
	return strings.Join(all, ";")
}

// get reads an item; one that is not there has no state.
func get(items, id string) item {
	for _, each := range strings.Split(items, ";") {
		if parts := strings.Split(each, "|"); parts[0] == id && len(parts) == 5 {
			return item{parts[1], number(parts[2]), number(parts[3]), number(parts[4])}
		}
	}
	return item{}
}

func ids(items string) []string {
	var all []string
	for _, each := range strings.Split(items, ";") {
		if id, _, found := strings.Cut(each, "|"); found {
			all = append(all, id)
		}
	}
	return all
}

func number(text string) int64 {
	value, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		panic(err)
	}
	return value
}
