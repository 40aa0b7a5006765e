#include "client/cli/run_hints.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace millrace::cli {
namespace {

using testing::HasSubstr;

v1::Run RunIn(v1::RunState state, v1::WaitingOn::Reason reason, const std::string& remedy) {
  v1::Run run;
  run.set_name("r-1");
  run.set_state(state);
  run.mutable_waiting_on()->set_reason(reason);
  run.mutable_waiting_on()->set_remedy(remedy);
  for (const char* stage : {"items", "story", "saved"}) run.add_stages()->set_stage(stage);
  run.mutable_stages(0)->set_done(true);
  return run;
}

TEST(RunHintsTest, AnInterruptedRunIsContinuedByWatchingIt) {
  Session session;
  session.data_dir = "/d";
  const v1::Run run = RunIn(v1::RUN_STATE_RUNNING, v1::WaitingOn::REASON_USER, "nothing works on it");
  EXPECT_EQ(InterruptedHint(session, run),
            "run r-1 was interrupted, and nothing works on it; continue it with `millrace watch r-1 --data-dir /d`\n");
  EXPECT_EQ(StateHint(session, run), InterruptedHint(session, run));
  EXPECT_EQ(InterruptedHint(session, RunIn(v1::RUN_STATE_PAUSED, v1::WaitingOn::REASON_USER, "")), "");
  EXPECT_EQ(InterruptedHint(session, RunIn(v1::RUN_STATE_RUNNING, v1::WaitingOn::REASON_LIMIT, "")), "");
}

TEST(RunHintsTest, APausedRunIsExplainedWithItsReasonAndRemedy) {
  const Session session;
  v1::Run run = RunIn(v1::RUN_STATE_PAUSED, v1::WaitingOn::REASON_REPAIR, "correct the key");
  run.mutable_waiting_on()->set_object("cloud/m");
  EXPECT_EQ(StateHint(session, run),
            "run r-1 is PAUSED; stages that have not ended: story, saved\n"
            "  it waits on REPAIR cloud/m: correct the key\n"
            "  continue it with `millrace resume r-1`\n");
  EXPECT_THAT(StateHint(session, RunIn(v1::RUN_STATE_RUNNING, v1::WaitingOn::REASON_LIMIT, "8 of 8 slots")),
              HasSubstr("it waits on LIMIT: 8 of 8 slots\n"));
  EXPECT_EQ(StateHint(session, RunIn(v1::RUN_STATE_SUCCEEDED, v1::WaitingOn::REASON_UNSPECIFIED, "")), "");
  EXPECT_EQ(StateHint(session, RunIn(v1::RUN_STATE_CANCELLED, v1::WaitingOn::REASON_USER, "")), "");
}

}  // namespace
}  // namespace millrace::cli
