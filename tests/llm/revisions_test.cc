// Revisions of models as a part of keys: when they are learned, and what is remembered under them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/llm/served_backend.h"

namespace millrace {
namespace {

using testing::HasSubstr;

class RevisionsTest : public testing::Test {
 protected:
  RevisionsTest() {
    world_.make_backend = [] { return std::make_unique<ServedBackend>(); };
    world_.provider.usual = [this](const HttpRequest& request) { return server_(request); };
  }

  int64_t Received(const std::string& url) const {
    return std::count_if(world_.provider.received.begin(), world_.provider.received.end(),
                         [&url](const Provider::Received& received) { return received.url == url; });
  }
  int64_t questions() const { return Received("http://provider/m"); }
  int64_t probes() const { return Received("http://provider/state"); }
  // Changes the model, so that nothing learned before is new enough.
  void Become(const std::string& state) {
    server_.state = state;
    world_.RunFor(2s);
  }

  ServedProvider server_;
  World world_;
};

TEST_F(RevisionsTest, AnAnswerIsReusedUntilTheModelChanges) {
  EXPECT_EQ(world_.Answer("q").text, "said by m=r-1");
  EXPECT_TRUE(world_.Answer("q").cache_hit);
  EXPECT_EQ(probes(), 1) << "the newest probe is new enough";
  Become("m=r-2");
  const CallOutcome changed = world_.Answer("q");
  EXPECT_FALSE(changed.cache_hit);
  EXPECT_EQ(changed.text, "said by m=r-2");
  Become("m=r-1");
  EXPECT_EQ(world_.Answer("q").text, "said by m=r-1");
  EXPECT_EQ(questions(), 2) << "the old model's answers are those of the old model";
}

// Says that its server reports revisions, and has no probe.
class Unprobed final : public backend::Backend {
 public:
  const backend::Manifest& manifest() const override { return manifest_; }
  std::unique_ptr<backend::Exchange> Start(const backend::Question& question, uint64_t seed) override {
    return plain_.Start(question, seed);
  }

 private:
  PlainBackend plain_;
  const backend::Manifest manifest_{
      .kind = "unprobed", .protocol_family = "plain", .dialect_version = 1, .reports_revisions = true};
};

TEST_F(RevisionsTest, ABackendWithoutAProbeReportsNoRevision) {
  world_.make_backend = [] { return std::make_unique<Unprobed>(); };
  EXPECT_EQ(world_.Answer("q").text, "said by m=r-1");
  EXPECT_TRUE(world_.Answer("q").cache_hit);
  EXPECT_EQ(probes(), 0);
}

TEST_F(RevisionsTest, AnotherSpellingOfTheKeyIsNotMadeForModelsWithAConfiguredRevision) {
  world_.config.mutable_models(0)->mutable_targets(0)->set_revision("fixed");
  EXPECT_TRUE(world_.Answer("q").status.ok());
  Become("m=r-2");
  EXPECT_TRUE(world_.Answer("q").cache_hit);
  EXPECT_EQ(probes(), 0);
}

TEST_F(RevisionsTest, RememberedAnswersAreFoundAfterARestartWhileTheServerIsDown) {
  world_.Answer("q");
  world_.Restart();
  Become("");
  const CallOutcome outcome = world_.Answer("q");
  EXPECT_TRUE(outcome.cache_hit) << outcome.status;
  EXPECT_EQ(questions(), 1);
}

TEST_F(RevisionsTest, CallsWaitForTheFirstProbeOfAModelThatWasNeverKnown) {
  server_.state = "";
  const auto asked = world_.Ask("q", OfRun("r"));
  world_.RunFor(10s);
  EXPECT_FALSE(asked->done);
  const CallTraffic::FailingTarget failing = world_.calls().FindFailing("r");
  EXPECT_EQ(failing.name, "plain/m");
  EXPECT_EQ(failing.error, "connection refused");
  EXPECT_EQ(world_.calls().FindFailing("other").name, "");
  server_.state = "m=r-1";
  EXPECT_TRUE(world_.RunUntil([&] { return asked->done; }));
  EXPECT_EQ(asked->outcome.text, "said by m=r-1");
  EXPECT_TRUE(world_.Answer("q").cache_hit);
}

TEST_F(RevisionsTest, ARunStopsIfOnlyAHumanCanRepairTheServerOfAModelThatWasNeverKnown) {
  Reaction no_host{.outcome = HttpOutcome::kNotSent};
  no_host.no_such_host = true;
  for (const auto& [reaction, reason] :
       {std::pair{Reaction{.status = 401}, Reason::kProviderCredentials}, {no_host, Reason::kProviderHost}}) {
    world_.Restart();
    const Reaction refuses = reaction;
    world_.provider.usual = [refuses](const HttpRequest&) { return refuses; };
    const CallOutcome generated = world_.Answer("q");
    EXPECT_EQ(ReasonOf(generated.status), reason);
    EXPECT_FALSE(generated.stopped);
    const TimePoint begin = world_.clock.Now();
    const CallOutcome outcome = world_.Answer("q", OfRun("r"));
    EXPECT_LT(world_.clock.Now() - begin, 5s);
    EXPECT_TRUE(outcome.stopped);
    ASSERT_EQ(outcome.blockages.size(), 1u);
    EXPECT_EQ(outcome.blockages[0].target, "plain/m");
    EXPECT_EQ(outcome.blockages[0].reason, reason);
    EXPECT_EQ(questions(), 0);
  }
  world_.provider.usual = [this](const HttpRequest& request) { return server_(request); };
  world_.RunFor(2s);
  EXPECT_TRUE(world_.Answer("q", OfRun("r")).status.ok());
}

TEST_F(RevisionsTest, AWaitingCallerCanBeStoppedAndHasADeadline) {
  server_.state = "";
  CallContext stopped = OfRun("r");
  stopped.stop = world_.NewStop();
  const auto first = world_.Ask("q", stopped);
  CallContext late;
  late.deadline = world_.clock.Now() + 7s;
  const auto second = world_.Ask("q", late);
  world_.RunFor(5s);
  EXPECT_FALSE(first->done);
  stopped.stop->Stop();
  EXPECT_TRUE(world_.RunUntil([&] { return second->done; }));
  EXPECT_TRUE(first->outcome.stopped);
  EXPECT_EQ(ReasonOf(second->outcome.status), Reason::kTargetFailed);
  EXPECT_THAT(MessageOf(second->outcome.status), HasSubstr("connection refused"));
}

TEST_F(RevisionsTest, ARunKeepsTheRevisionsOfItsLease) {
  world_.Restart();
  const std::shared_ptr<ModelLease> old_lease = Do(world_, world_.calls().Lease({"writer", "nobody"}));
  const auto ask = [&](const std::shared_ptr<ModelLease>& lease) {
    CallContext context = OfRun("r");
    context.models = lease;
    return world_.Answer("q", context);
  };
  ask(old_lease);
  Become("m=r-2");
  const std::shared_ptr<ModelLease> new_lease = Do(world_, world_.calls().Lease({"writer"}));
  EXPECT_TRUE(ask(old_lease).cache_hit);
  EXPECT_FALSE(ask(new_lease).cache_hit);
  EXPECT_NE(*world_.calls().Identity("writer", *old_lease), *world_.calls().Identity("writer", *new_lease));
  EXPECT_THAT(*world_.calls().Identity("writer", *new_lease), HasSubstr(R"("revision":"r-2")"));
}

TEST_F(RevisionsTest, ALeaseTakesNoLongerThanAProbeAndUnknownModelsShareNoKey) {
  world_.Restart();
  world_.provider.usual = [](const HttpRequest&) { return Reaction{.latency = 1h}; };
  const TimePoint begin = world_.clock.Now();
  const std::shared_ptr<ModelLease> lease = Do(world_, world_.calls().Lease({"writer"}));
  EXPECT_EQ(world_.clock.Now() - begin, Prober::kTimeMax);
  EXPECT_TRUE(lease->identities.empty());
  const std::string first = *world_.calls().Identity("writer", *lease);
  world_.RunFor(1s);
  EXPECT_NE(*world_.calls().Identity("writer", *lease), first);
}

TEST_F(RevisionsTest, AServerThatAnswersNoProbesIsAskedWithoutARevision) {
  world_.provider.usual = [this](const HttpRequest& request) {
    Reaction reaction = server_(request);
    if (request.url == "http://provider/state") reaction.status = 404;
    return reaction;
  };
  EXPECT_TRUE(world_.Answer("q").status.ok());
  EXPECT_TRUE(world_.Answer("q").cache_hit);
}

TEST_F(RevisionsTest, CallsThatCanGoElsewhereDoNotWait) {
  v1::TargetConfig& other = *world_.config.mutable_models(0)->add_targets();
  other.set_backend("other");
  other.set_model("n");
  other.set_revision("fixed");
  other.set_priority(1);
  server_.state = "";
  world_.provider.usual = [this](const HttpRequest& request) {
    return request.url == "http://provider/n" ? Reaction{.body = "elsewhere"} : server_(request);
  };
  const CallOutcome outcome = world_.Answer("q", OfRun("r"));
  EXPECT_EQ(outcome.text, "elsewhere");
  EXPECT_TRUE(world_.Answer("q", OfRun("r2")).cache_hit) << "the other target's key is known";
}

TEST_F(RevisionsTest, PlanFindsWhatIsRemembered) {
  world_.Answer("q");
  const std::shared_ptr<ModelLease> lease = Do(world_, world_.calls().Look({"writer"}));
  CallContext context = OfRun("r");
  context.models = lease;
  CallRequest request;
  request.model_alias = "writer";
  request.question.messages.push_back({"user", "q"});
  EXPECT_TRUE(*Do(world_, world_.calls().IsRemembered(context, request)));
  request.question.messages[0].content = "another";
  EXPECT_FALSE(*Do(world_, world_.calls().IsRemembered(context, request)));
}

TEST_F(RevisionsTest, ADrainingServerTellsAClientThatWaitsForARevision) {
  server_.state = "";
  CallContext generates;
  generates.stop = world_.NewStop();
  CallContext runs = OfRun("r");
  runs.stop = world_.NewStop();
  const auto generated = world_.Ask("q", generates);
  const auto of_run = world_.Ask("q", runs);
  world_.RunFor(1s);
  world_.loop_->Spawn(world_.calls().Drain(kNever));
  world_.RunFor(1s);
  ASSERT_TRUE(generated->done && of_run->done);
  EXPECT_FALSE(generated->outcome.stopped) << "the client is there";
  EXPECT_EQ(ReasonOf(generated->outcome.status), Reason::kDraining);
  EXPECT_TRUE(of_run->outcome.stopped);
}

TEST_F(RevisionsTest, CallsDoNotWaitForAServerThatHangsAgainAndAgain) {
  v1::TargetConfig& other = *world_.config.mutable_models(0)->add_targets();
  other.set_backend("other");
  other.set_model("n");
  other.set_revision("fixed");
  world_.Restart();
  for (const bool is_known : {false, true}) {
    world_.provider.usual = [this](const HttpRequest& request) { return server_(request); };
    if (is_known) {
      world_.RunFor(5s);  // the hanging probe ends
      EXPECT_TRUE(world_.Answer("before").status.ok());
      const std::shared_ptr<ModelLease> lease = Do(world_, world_.calls().Look({"writer"}));
      EXPECT_THAT(*world_.calls().Identity("writer", *lease), HasSubstr(R"("revision":"r-1")"));
    }
    world_.provider.usual = [](const HttpRequest& request) {
      return request.url == "http://provider/state" ? Reaction{.latency = 1h} : Reaction();
    };
    world_.RunFor(2s);
    const TimePoint begin = world_.clock.Now() + Prober::kTimeMax + 1s;
    for (int i = 0; i < 200; ++i) {
      const TimePoint asked = world_.clock.Now();
      EXPECT_TRUE(world_.Answer(std::to_string(is_known) + std::to_string(i), OfRun("r")).status.ok());
      if (asked > begin) {
        EXPECT_LT(world_.clock.Now() - asked, 1s) << i;
      }
      world_.RunFor(300ms);
    }
  }
}

}  // namespace
}  // namespace millrace
