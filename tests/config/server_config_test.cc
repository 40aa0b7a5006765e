#include "server/config/server_config.h"

#include <gmock/gmock.h>

#include "backends/builtin.h"
#include "server/config/address.h"
#include "tests/config/support.h"

namespace millrace {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

FileLoader Profiles() {
  return [](std::string_view path) -> StatusOr<std::string> {
    if (path == "slow.yaml") return "latency: 2s\nrate_limited: 5%\n";
    if (path == "bad.yaml") return "latency: fast\n";
    return MakeError(Reason::kFileError, "no such file");
  };
}

StatusOr<v1::ServerConfig> Read(std::string_view text) {
  return ReadServerConfig(text, "s.yaml", Profiles(), backend::BuiltinBackends());
}

constexpr char kConfig[] = R"(
grpc: {address: "127.0.0.1:7500"}
data_dir: /var/lib/millrace
backends:
  - {name: local, local: }
  - {name: cloud, openai: {base_url: https://api.example.com/v1, api_key: {env: EXAMPLE_KEY}}}
  - {name: slow, simulated: {profile_file: slow.yaml, seed: 7}}
models:
  - name: writer
    targets:
      - {backend: cloud, model: large, limits: {max_concurrency: 20}}
      - {backend: local, priority: 2}
    retry: {max_attempts: 6, initial_backoff: 500ms, max_backoff: 1m}
    cache: {ttl: 720h}
    on_unknown: fail
  - name: reader
    targets: [{backend: cloud, model: large}]
durability: 50ms
files: {read: [data], write: [out]}
limits: {disk_reserve: 1GiB}
)";

TEST(ServerConfigTest, FillsDefaultsAndProfiles) {
  const StatusOr<v1::ServerConfig> config = Read(kConfig);
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->grpc().address(), "127.0.0.1:7500");
  EXPECT_EQ(config->durability().interval().nanos(), 50'000'000);
  EXPECT_EQ(config->limits().disk_reserve(), int64_t{1} << 30);
  EXPECT_EQ(config->limits().max_active_runs(), 1000);
  EXPECT_EQ(config->backends(1).openai().schema_format(), "json_schema");
  EXPECT_EQ(config->backends(2).simulated().profile().latency().seconds(), 2);
  EXPECT_EQ(config->backends(2).simulated().profile().rate_limited(), 0.05);
  EXPECT_EQ(config->backends(2).simulated().profile().answer_bytes(), 200);
  EXPECT_EQ(config->models(0).on_unknown(), v1::ON_UNKNOWN_FAIL);
  EXPECT_EQ(config->models(1).on_unknown(), v1::ON_UNKNOWN_RETRY);
  EXPECT_EQ(config->models(1).timeout().total().seconds(), 300);
  EXPECT_EQ(config->models(1).retry().max_attempts(), 5);
  EXPECT_FALSE(config->models(1).cache().has_ttl());
}

TEST(ServerConfigTest, KeepsAZeroThatMeansSomethingElseThanTheDefault) {
  const StatusOr<v1::ServerConfig> config = Read("limits: {disk_reserve: 0}");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->limits().disk_reserve(), 0);
  EXPECT_EQ(Read("limits: {}")->limits().disk_reserve(), int64_t{256} << 20);
}

TEST(ServerConfigTest, LimitsOfATargetHoldForEveryAliasOfIt) {
  EXPECT_EQ(Read(kConfig)->models(1).targets(0).limits().max_concurrency().slots(), 20);
  EXPECT_EQ(Read(kConfig)->models(0).targets(1).limits().max_concurrency().slots(), 8);
}

TEST(ServerConfigTest, WithoutAFileThereIsTheBackendLocal) {
  const v1::ServerConfig config = BuiltinServerConfig();
  EXPECT_EQ(config.SerializeAsString(), Read("backends: [{name: local, local: {}}]\n"
                                             "models: [{name: local, targets: [{backend: local}]}]\n")
                                            ->SerializeAsString());
  EXPECT_EQ(config.grpc().address(), "127.0.0.1:7400");
  EXPECT_EQ(config.durability().mode(), v1::Durability::MODE_SYNC);
  EXPECT_TRUE(Read("").ok());
}

TEST(ServerConfigTest, TellsEveryProblemWithItsPlace) {
  EXPECT_THAT(
      Problems(Read(R"(grpc: {address: 0.0.0.0:7400}
backends:
- {name: a, local: {}}
- {name: a, simulated: {profile_file: slow.yaml, profile: {latency: 1s}}}
- {name: b, openai: {base_url: http://api.example.com/v1}}
- {name: c, simulated: {profile_file: bad.yaml}}
models:
- name: m
  targets: [{backend: a, model: x, limits: {max_concurrency: 1}}, {backend: ab}, {backend: a, model: x}]
  retry: {initial_backoff: 10s, max_backoff: 1s}
- {name: m, targets: [{backend: a, model: x, limits: {max_concurrency: 2}}]}
durability: always
limits: {max_conections: 5}
)")
                   .status()),
      ElementsAre(
          "s.yaml:1:17: grpc.address: must be a loopback address such as 127.0.0.1, got \"0.0.0.0\"",
          "s.yaml:4:10: backends[1].name: there is a backend \"a\" already",
          "s.yaml:4:24: backends[1].simulated: profile_file and profile are both given; only one may be",
          "s.yaml:5:32: backends[2].openai.base_url: the URL uses http, which only loopback and private addresses may; "
          "use https",
          "s.yaml:6:39: backends[3].simulated.profile_file: bad.yaml:1:10: latency: expected a duration such as 30s or "
          "1h30m, got \"fast\"",
          "s.yaml:9:77: models[0].targets[1].backend: unknown backend \"ab\"; did you mean \"a\"?",
          "s.yaml:9:82: models[0].targets[2]: this backend and model stand in the list already",
          "s.yaml:10:46: models[0].retry.max_backoff: must be at least initial_backoff",
          "s.yaml:11:10: models[1].name: there is a model \"m\" already",
          "s.yaml:11:54: models[1].targets[0].limits: model \"m\" gives the same target other limits; a target has one "
          "set, whichever alias leads to it",
          "s.yaml:12:13: durability: expected a duration such as 30s or one of sync, process or a mapping, got "
          "\"always\"",
          "s.yaml:13:10: limits.max_conections: unknown key; did you mean \"max_connections\"?"));
}

TEST(ServerConfigTest, BackoffsAreComparedWithTheDefaultsOfThoseThatAreAbsent) {
  const auto with = [](const std::string& retry) {
    return Read(
        "backends: [{name: a, local: {}}]\n"
        "models: [{name: m, targets: [{backend: a}], retry: " +
        retry + "}]\n");
  };
  EXPECT_THAT(
      Problems(with("{max_backoff: 100ms}").status()),
      ElementsAre(
          "s.yaml:2:66: models[0].retry.max_backoff: must be at least initial_backoff, which is 500ms by default"));
  EXPECT_THAT(
      Problems(with("{initial_backoff: 60s}").status()),
      ElementsAre(
          "s.yaml:2:70: models[0].retry.initial_backoff: must be at most max_backoff, which is 30s by default"));
  EXPECT_TRUE(with("{max_backoff: 500ms}").ok());
}

TEST(ServerConfigTest, ATargetHasOneBreakerWhicheverAliasLeadsToIt) {
  const auto with = [](const std::string& first, const std::string& second) {
    return Read(
        "backends: [{name: a, local: {}}]\n"
        "models:\n"
        "- {name: w, targets: [{backend: a, model: x}]" +
        first + "}\n- {name: v, targets: [{backend: a, model: x}]" + second + "}\n");
  };
  const std::string breaker = ", breaker: {failure_ratio: 50%}";
  const std::string remedy = "target a/x another breaker; a target has one, so give both models the same `breaker`";
  EXPECT_TRUE(with(breaker, breaker).ok());
  EXPECT_TRUE(with("", ", breaker: {failure_ratio: 90%}").ok()) << "that is the default";
  EXPECT_THAT(Problems(with(breaker, "").status()),
              ElementsAre("s.yaml:4:23: models[1].targets[0]: model \"w\" gives " + remedy));
  EXPECT_THAT(Problems(with("", breaker).status()),
              ElementsAre("s.yaml:4:57: models[1].breaker: model \"w\" gives " + remedy));
}

TEST(ServerConfigTest, NeverShowsWhatStandsInThePlaceOfASecret) {
  for (const std::string_view key : {"sk-canary", "{env: sk-canary}", "{value: sk-canary}", "[sk-canary]",
                                     "{file: [sk-canary]}", "{env: {sk-canary: sk-canary}}"}) {
    const Status status =
        Read("backends: [{name: a, openai: {base_url: https://x.example/v1, api_key: " + std::string(key) + "}}]")
            .status();
    EXPECT_FALSE(status.ok()) << key;
    EXPECT_THAT(status.ToString(), Not(HasSubstr("canary"))) << key;
  }
}

TEST(ServerConfigTest, ChecksTheOptionsOfOllama) {
  const auto config = Read(R"(
backends:
- name: a
  ollama: {options: {num_ctx: 8192, f16_kv: true, stop: [x]}, keep_alive: -1, think: high}
- name: b
  ollama: {})");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->backends(0).ollama().options(), R"({"num_ctx":8192,"f16_kv":true,"stop":["x"]})");
  EXPECT_EQ(config->backends(0).ollama().keep_alive(), "-1");
  EXPECT_EQ(config->backends(1).ollama().base_url(), "http://127.0.0.1:11434");
  EXPECT_EQ(config->backends(1).ollama().think(), "false");
  const Status status = Read(R"(
backends:
- name: a
  ollama: {base_url: "http://ollama.example", options: {num_cxt: 8192}, keep_alive: 5 minutes, think: maybe})")
                            .status();
  EXPECT_THAT(status.ToString(),
              testing::AllOf(HasSubstr("ollama.base_url: the URL uses http"),
                             HasSubstr("ollama.options.num_cxt"),
                             HasSubstr("ollama.keep_alive"), HasSubstr("ollama.think")));
}

TEST(ServerConfigTest, DoesNotExpandParameters) { EXPECT_EQ(Read("data_dir: $(x)")->data_dir(), "$(x)"); }

TEST(AddressTest, KnowsLoopbackAddresses) {
  for (const char* host : {"localhost", "127.0.0.1", "127.9.9.9", "::1"}) EXPECT_TRUE(IsLoopback(host)) << host;
  for (const char* host : {"0.0.0.0", "::", "localhost.example", "128.0.0.1", "127.1", "2130706433", "0x7f.1", "",
                           "::ffff:127.0.0.1", "10.0.0.1"}) {
    EXPECT_FALSE(IsLoopback(host)) << host;
  }
}

TEST(AddressTest, ReadsHostAndPort) {
  EXPECT_EQ(ParseHostPort("localhost:0")->port, 0);
  EXPECT_EQ(ParseHostPort("[::1]:65535")->host, "::1");
  for (const char* text :
       {"", ":", "host", "host:", ":1", "host:65536", "host:-1", "::1:80", "[::1]", "[x]:1", "host:1x"}) {
    EXPECT_FALSE(ParseHostPort(text)) << text;
  }
}

}  // namespace
}  // namespace millrace
