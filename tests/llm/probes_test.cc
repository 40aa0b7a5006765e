// The state of backends, found out by probes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "backends/sdk/probe.h"
#include "server/storage/keys.h"
#include "tests/llm/world.h"

namespace millrace {
namespace {

using testing::HasSubstr;

// Asks one question, whose answer is the server's version.
class VersionProbe final : public backend::HttpProbe {
 public:
  explicit VersionProbe(size_t models) : models_(models) {}

 private:
  Step Begin() override {
    return backend::SendHttp{.method = "GET",
                             .url = "http://provider/version",
                             .auth = backend::HeaderAuth{.header = "Authorization", .scheme = "Bearer "},
                             .billable = false};
  }
  Step Read(const backend::Response& response) override {
    if (response.status != 200) {
      return backend::Failure{
          .outcome = backend::Outcome::kServerError, .message = "s3cret-key is wrong", .http_status = response.status};
    }
    backend::ServerState state{.version = response.body,
                               .models = {{.name = "m", .revision = "r-1", .loaded = backend::LoadedModel{100, 40, 7}}},
                               .asked = std::vector<backend::AskedModel>(models_, {.revision = "r-1", .problem = ""}),
                               .note = ""};
    return state;
  }

  const size_t models_;
};

class ProbedBackend final : public backend::Backend {
 public:
  const backend::Manifest& manifest() const override { return manifest_; }
  std::unique_ptr<backend::Exchange> Start(const backend::Question& question, uint64_t attempt_seed) override {
    return plain_.Start(question, attempt_seed);
  }
  std::unique_ptr<backend::Probe> StartProbe(std::vector<std::string> models) const override {
    return std::make_unique<VersionProbe>(models.size());
  }

 private:
  PlainBackend plain_;
  const backend::Manifest manifest_{.kind = "probed",
                                    .protocol_family = "plain",
                                    .dialect_version = 1,
                                    .description = "A provider with probes.",
                                    .if_unreachable = "start it with `serve`"};
};

class ProbesTest : public testing::Test {
 protected:
  ProbesTest() {
    world_.make_backend = [] { return std::make_unique<ProbedBackend>(); };
    world_.Restart();
  }

  // The backends `other`, without a target, and `plain`.
  v1::ListBackendsResponse Backends(bool asks_servers = true) {
    std::optional<v1::ListBackendsResponse> response;
    v1::ListBackendsRequest request;
    request.set_ask_servers(asks_servers);
    world_.loop_->Spawn(Keep(world_.calls().Backends(request), response));
    EXPECT_TRUE(world_.RunUntil([&] { return response.has_value(); }));
    return response.value_or(v1::ListBackendsResponse());
  }
  static Task<void> Keep(Task<v1::ListBackendsResponse> task, std::optional<v1::ListBackendsResponse>& into) {
    into = co_await std::move(task);
  }

  World world_;
};

TEST_F(ProbesTest, AllServersAreAskedAtOnceAndNothingIsRecorded) {
  world_.provider.usual = [](const HttpRequest&) { return Reaction{.latency = 80ms, .body = "0.9"}; };
  const TimePoint begin = world_.clock.Now();
  const v1::ListBackendsResponse response = Backends();
  EXPECT_EQ(world_.clock.Now() - begin, 80ms);
  ASSERT_EQ(response.backends_size(), 2);
  const v1::BackendInfo& plain = response.backends(1);
  EXPECT_EQ(plain.name(), "plain");
  EXPECT_EQ(plain.health(), v1::SERVER_HEALTH_ANSWERS);
  EXPECT_EQ(plain.version(), "0.9");
  EXPECT_EQ(plain.probe_time().nanos(), 80'000'000);
  EXPECT_EQ(plain.served_models(0).loaded().gpu_bytes(), 40);
  ASSERT_EQ(plain.targets_size(), 1);
  EXPECT_EQ(plain.targets(0).revision(), "r-1");
  EXPECT_EQ(plain.targets(0).state(), v1::TARGET_STATE_OK);
  EXPECT_EQ(response.backends(0).targets_size(), 0);
  EXPECT_EQ(world_.provider.received.size(), 2u);
  EXPECT_EQ(world_.Count(Table::kPending), 0);
  EXPECT_EQ(FindHeader(world_.provider.received[0].headers, "authorization"), "Bearer s3cret-key");
}

TEST_F(ProbesTest, CallersWhoAskMeanwhileShareAProbe) {
  std::optional<v1::ListBackendsResponse> first;
  v1::ListBackendsRequest request;
  request.set_ask_servers(true);
  world_.loop_->Spawn(Keep(world_.calls().Backends(request), first));
  EXPECT_EQ(Backends().backends(1).health(), v1::SERVER_HEALTH_ANSWERS);
  EXPECT_TRUE(first.has_value());
  EXPECT_EQ(world_.provider.received.size(), 2u);
  Backends();
  EXPECT_EQ(world_.provider.received.size(), 4u) << "a later caller gets the present state";
}

TEST_F(ProbesTest, AServerThatDoesNotAnswerIsGivenUpAfterThreeSeconds) {
  world_.provider.usual = [](const HttpRequest&) { return Reaction{.latency = 1h}; };
  const TimePoint begin = world_.clock.Now();
  const v1::BackendInfo backend = Backends().backends(1);
  EXPECT_EQ(world_.clock.Now() - begin, Prober::kTimeMax);
  EXPECT_EQ(backend.health(), v1::SERVER_HEALTH_UNREACHABLE);
  EXPECT_EQ(backend.note(), "no answer within the time limit; start it with `serve`");
}

TEST_F(ProbesTest, AServerThatRefusesIsFailingAndItsWordsHaveNoSecret) {
  world_.provider.usual = [](const HttpRequest&) { return Reaction{.status = 401}; };
  const v1::BackendInfo backend = Backends().backends(1);
  EXPECT_EQ(backend.health(), v1::SERVER_HEALTH_FAILING);
  EXPECT_THAT(backend.note(), testing::AllOf(HasSubstr(" is wrong"), testing::Not(HasSubstr("s3cret"))));
  EXPECT_TRUE(backend.served_models().empty());
}

TEST_F(ProbesTest, WithoutProbesOnlyTheTargetsAreKnown) {
  const v1::BackendInfo backend = Backends(false).backends(1);
  EXPECT_EQ(backend.health(), v1::SERVER_HEALTH_UNSPECIFIED);
  EXPECT_EQ(backend.targets(0).model(), "m");
  EXPECT_TRUE(world_.provider.received.empty());
  world_.make_backend = [] { return std::make_unique<PlainBackend>(); };
  world_.Restart();
  EXPECT_EQ(Backends().backends(1).health(), v1::SERVER_HEALTH_NOT_ASKED);
}

TEST_F(ProbesTest, ATargetShowsItsNewestErrorUntilItAnswersAndSinceWhenItIsLeftAlone) {
  world_.provider.script = {{.status = 503}, {.status = 429, .headers = {{"retry-after", "60"}}}};
  const auto asked = world_.Ask("q", OfRun("r"));
  world_.RunFor(55ms);
  v1::TargetInfo target = Backends(false).backends(1).targets(0);
  EXPECT_EQ(target.state(), v1::TARGET_STATE_FAILING);
  EXPECT_EQ(target.error(), "status 503");
  world_.RunFor(5s);
  target = Backends(false).backends(1).targets(0);
  EXPECT_EQ(target.state(), v1::TARGET_STATE_PAUSED);
  EXPECT_EQ(target.error(), "status 429");
  const int64_t pause = target.available_time().seconds() - world_.clock.WallMicros() / 1'000'000;
  EXPECT_GT(pause, 50);
  EXPECT_LE(pause, 60);
  EXPECT_TRUE(world_.RunUntil([&] { return asked->done; }));
  target = Backends(false).backends(1).targets(0);
  EXPECT_EQ(target.state(), v1::TARGET_STATE_OK);
  EXPECT_EQ(target.error(), "");
}

}  // namespace
}  // namespace millrace
