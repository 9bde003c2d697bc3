// What came of a run.
package main

import (
	"sort"
	"time"
)

func (r *run) result(finished time.Time) map[string]any {
	var answers, arrivals []float64
	accepted, all, measured, lost, listed, arrived, landed := 0, 0, 0, 0, 0, 0, 0
	var last int64
	for request := 0; request < r.used(); request++ {
		one := &r.sent[request]
		at := one.at.Load()
		if at == 0 {
			continue
		}
		all += r.per
		listed += one.listed
		inside := at >= r.from && at < r.to
		if one.status.Load() == 200 {
			accepted += r.per
			if inside {
				measured += r.per
				answers = append(answers, float64(one.answered.Load()-at)/1e6)
			}
		}
		if !r.Count {
			continue
		}
		lost += r.lost(request)
		for i := request * r.per; i < (request+1)*r.per; i++ {
			when := r.epoch.seen[i].first.Load()
			if when == 0 {
				continue
			}
			arrived++
			last = max(last, when)
			if when >= r.from && when < r.to {
				landed++
			}
			if inside && one.status.Load() == 200 {
				arrivals = append(arrivals, float64(when-at)/1e6)
			}
		}
	}
	result := map[string]any{
		"pushes": all, "accepted": accepted, "measured": measured, "landed": landed, "arrived": arrived, "lost": lost,
		"listed":    listed,
		"cut_short": r.cutShort, "refused": r.refused.Load(), "broken": r.broken.Load(), "seconds": r.Seconds,
		"until_last": float64(max(0, last-finished.UnixNano())) / 1e9,
		"answer_p50": percentile(answers, 50), "answer_p99": percentile(answers, 99),
		"arrival_p50": percentile(arrivals, 50), "arrival_p99": percentile(arrivals, 99),
	}
	if r.Count {
		for name, value := range r.p.stats() {
			result[name] = value
		}
	}
	return result
}

func percentile(values []float64, percent int) float64 {
	if len(values) == 0 {
		return 0
	}
	sort.Float64s(values)
	return values[min(len(values)-1, len(values)*percent/100)]
}
