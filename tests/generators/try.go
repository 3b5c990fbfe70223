// Tries the client that openapi-generator makes: go run try.go URL.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"reflect"
	"time"

	"example.com/tallyhouse"
)

func expect(found, wanted any) {
	if !reflect.DeepEqual(found, wanted) {
		panic(fmt.Sprintf("%#v is not %#v", found, wanted))
	}
}

func must[T any](answer T, err error) T {
	if err != nil {
		var refused *tallyhouse.GenericOpenAPIError
		if errors.As(err, &refused) {
			panic(fmt.Sprintf("%v: %s", err, refused.Body()))
		}
		panic(err)
	}
	return answer
}

func flight(value string) tallyhouse.Record {
	at := time.Date(2013, 1, 1, 10, 0, 0, 0, time.UTC)
	exact := tallyhouse.RecordValue{String: &value}
	return *tallyhouse.NewRecord("by-go", at, "UA", "Go", tallyhouse.POSITIVE, exact, "minute", "")
}

func main() {
	settings := tallyhouse.NewConfiguration()
	settings.Servers = tallyhouse.ServerConfigurations{{URL: os.Args[1]}}
	client := tallyhouse.NewAPIClient(settings)
	ctx := context.Background()

	written, response, err := client.WritingAPI.WriteRecord(ctx).Record(flight("0.10")).Execute()
	must(written, err)
	expect(response.StatusCode, 201)
	_, response, err = client.WritingAPI.WriteRecord(ctx).Record(flight("2")).Execute()
	expect(response.StatusCode, 409)
	var refused *tallyhouse.GenericOpenAPIError
	if !errors.As(err, &refused) {
		panic(err)
	}
	conflict, ok := refused.Model().(tallyhouse.ConflictAnswer)
	expect(ok, true)
	expect(conflict.Differs, []tallyhouse.RecordField{tallyhouse.VALUE})

	page, _, err := client.MessagesAPI.ReadNotifications(ctx).Limit(1000).Execute()
	for _, message := range must(page, err).Messages {
		if message.Id == "by-go" {
			expect(message.Data.Record.Value, "0.10")
		}
	}

	totals, _, err := client.ReadingAPI.ReadAggregates(ctx).DestinationId("Go").Records(false).Execute()
	expect(must(totals, err).Groups[0].Totals[0].Net, "0.10")

	records := []tallyhouse.Record{flight("0.1"), flight("2"), flight("-1")}
	batch, _, err := client.WritingAPI.WriteBatch(ctx).Record(records).Execute()
	results := must(batch, err).Results
	expect(results[0].BatchDuplicate.Sequence, int64(1))
	expect(results[1].BatchConflict.Error.Differs, []tallyhouse.RecordField{tallyhouse.VALUE})
	expect(results[2].BatchRejected.Error.Errors[0].Pointer, "/value")

	threshold, unit := "100", "minute"
	draft := tallyhouse.NewTotalRuleDraft(tallyhouse.RuleThreshold{String: &threshold}, "total")
	draft.Unit = &unit
	body := tallyhouse.TotalRuleDraftAsAlertRuleDraft(draft)
	rule, _, err := client.AlertRulesAPI.PutAlertRule(ctx, "by-go").AlertRuleDraft(body).Execute()
	expect(must(rule, err).ShownTotalRule.Threshold, "100")
	draft.Unit = nil
	body.TotalRuleDraft, body.ValueRuleDraft = nil, tallyhouse.NewValueRuleDraft(draft.Threshold)
	rule, _, err = client.AlertRulesAPI.PutAlertRule(ctx, "by-go").AlertRuleDraft(body).Execute()
	expect(must(rule, err).ShownValueRule.Threshold, "100")
}
