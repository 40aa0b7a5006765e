// Slots whose number follows what a server really serves in parallel (`max_concurrency: auto`).
//
// Two kinds of servers must be found out. One queues what it can't serve: more attempts in flight then lengthen the
// latency, and by Little's law throughput * (latency without a queue) is the number that it serves in parallel. The
// limit is set to that and a little more, so that the server is never idle. (The same idea as TCP Vegas and BBR:
// Brakmo 1994, Cardwell 2016.) The other kind rejects (429, 503) above its capacity: the attempt that was rejected with
// the fewest others in flight tells the capacity. That number is remembered as a ceiling; it is tried again only one
// step, at most 10%, above, after 400 answers.
//
// A limit starts at 1 and doubles while latency does not rise, so that a cold server is not flooded. Figures are taken
// over windows: a window ends when as many attempts were answered as the limit allows, at least 4.
#pragma once

#include "server/llm/admission/slots.h"

namespace millrace {

class AutoSlots final : public Slots {
 public:
  // The limit never exceeds `limit_max`.
  explicit AutoSlots(int32_t limit_max = 1000) : limit_max_(limit_max) {}

  int32_t limit() const override { return limit_; }
  void Began(const Admitted& attempt) override;
  void Ended(const Admitted& attempt, const AttemptEnd& end, TimePoint now) override;

  // The rest is for a server that other attempts use too, which these slots do not count.
  // The others leave no room for more of these attempts, although the limit is not reached.
  void NoteFull() { was_full_ = true; }
  // The server serves `served` of the others in parallel.
  void ServesBeside(double served) { served_beside_ = served; }
  // Returns how many of these attempts the server served in parallel in the newest window.
  double served() const { return served_; }
  // Returns whether half the slots are unused to measure the latency without a queue.
  bool is_measuring() const { return is_measuring_; }
  // Returns the smallest number in flight that was rejected; 0: none.
  int32_t ceiling() const { return ceiling_; }

 private:
  void NoteRejection(const Admitted& attempt, TimePoint now);
  void NoteAnswer(const Admitted& attempt, TimePoint now);
  void StartWindow(TimePoint now);
  void EndWindow(TimePoint now);
  // Returns the limit that the figures of a window with this throughput (answers per second) and latency ask for.
  int32_t Wanted(double throughput, double latency_seconds);
  // Returns `wanted`, kept below the ceiling unless it is time to try above it.
  int32_t BelowCeiling(int32_t wanted);

  const int32_t limit_max_;
  int32_t limit_ = 1;
  bool is_doubling_ = true;  // nothing has shown yet that the server serves no more

  // The present window.
  TimePoint window_begin_{};
  int64_t answers_ = 0;      // all of the window, for the throughput
  int64_t new_answers_ = 0;  // to attempts that began under the present limit
  Duration latencies_{};     // sum over new_answers_
  bool was_full_ = false;    // the limit was reached
  TimePoint limit_since_{};  // since when the limit has its present value

  double served_ = 0;
  double served_beside_ = 0;
  double latency_min_ = 0;     // seconds, without a queue; 0: not known
  int32_t windows_ = 0;        // since latency_min_ was measured
  bool is_measuring_ = false;  // this window has half the slots, to measure latency_min_
  int32_t measured_from_ = 0;  // the limit to return to

  int32_t ceiling_ = 0;           // smallest number in flight that was rejected; 0: none
  bool is_settling_ = false;      // no window has passed without a rejection since the newest one
  int64_t answers_to_trial_ = 0;  // until the ceiling is tried again
};

}  // namespace millrace
