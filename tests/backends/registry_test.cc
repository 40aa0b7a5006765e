// A kind of backend that this file alone makes: its class, its BackendKind, and one line that adds it. A new kind of
// the product has one part more, a field of BackendConfig.kind with its message. Here `openai` stands in for that
// field: the kinds of this test leave the real one out, so the server can find this one only by its registration.
#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include "millrace/v1/completion_service.grpc.pb.h"
#include "server/config/server_config.h"
#include "server/process/coordinator.h"
#include "tests/storage/temporary_directory.h"

namespace millrace::backend {
namespace {

using testing::HasSubstr;

// Answers with a fixed text.
class EchoExchange final : public Exchange {
 public:
  explicit EchoExchange(std::string text) : text_(std::move(text)) {}
  Action Next(Input) override {
    Answer answer;
    answer.text = text_;
    return Done{std::move(answer)};
  }

 private:
  const std::string text_;
};

// Repeats the last message, followed by what is configured as `base_url`.
class Echo final : public Backend {
 public:
  explicit Echo(std::string suffix) : suffix_(std::move(suffix)) {}
  const Manifest& manifest() const override { return manifest_; }
  std::unique_ptr<Exchange> Start(const Question& question, uint64_t) override {
    return std::make_unique<EchoExchange>(std::get<Request>(question).messages.back().content + suffix_);
  }

 private:
  const std::string suffix_;
  const Manifest manifest_{.kind = "echo",
                           .protocol_family = "echo",
                           .dialect_version = 1,
                           .free_of_charge = true,
                           .description = "Repeats the question."};
};

BackendKinds WithEcho() {
  BackendKind kind;
  kind.name = "openai";
  kind.make = [](const v1::BackendConfig& config) { return std::make_unique<Echo>(config.openai().base_url()); };
  kind.check = [](v1::BackendConfig& config, const YamlFileReader& read_file, std::vector<FieldViolation>& violations) {
    if (config.openai().base_url() == "silence") violations.push_back({"base_url", "an echo needs a sound"});
    if (config.openai().base_url() != "file") return;
    v1::SimulatedProfile profile;
    const Status status = read_file("echo.yaml", profile);
    if (!status.ok()) return violations.push_back({"", std::string(MessageOf(status))});
    config.mutable_openai()->set_base_url(std::to_string(profile.answer_bytes()));
  };
  kind.secret = [](const v1::BackendConfig& config) {
    return SecretUse{.secret = config.openai().has_api_key() ? &config.openai().api_key() : nullptr, .url = "http://x"};
  };
  BackendKinds kinds;
  kinds.Add(std::move(kind));
  return kinds;
}

StatusOr<v1::ServerConfig> Read(std::string_view text) {
  const auto load_file = [](std::string_view) -> StatusOr<std::string> { return "answer_bytes: 7"; };
  return ReadServerConfig(text, "s.yaml", load_file, WithEcho());
}

// Asks a server by Generate.
v1::GenerateResponse Ask(v1::ServerConfig config, BackendKinds kinds, v1::GenerateRequest request) {
  const TemporaryDirectory directory;
  config.set_data_dir(directory.path());
  config.mutable_grpc()->set_address("127.0.0.1:0");
  CoordinatorOptions options;
  options.config = std::move(config);
  options.kinds = std::move(kinds);
  const StatusOr<std::unique_ptr<Coordinator>> server = Coordinator::Start(std::move(options));
  v1::GenerateResponse response;
  EXPECT_TRUE(server.ok()) << server.status();
  if (!server.ok()) return response;
  const auto channel = grpc::CreateChannel("unix:" + (*server)->socket_path(), grpc::InsecureChannelCredentials());
  request.add_messages()->set_role("user");
  request.mutable_messages(0)->set_content("hello");
  grpc::ClientContext context;
  const grpc::Status status = v1::CompletionService::NewStub(channel)->Generate(&context, request, &response);
  EXPECT_TRUE(status.ok()) << status.error_message();
  return response;
}

TEST(BackendRegistryTest, AKindAnswersGenerateByItsRegistrationAlone) {
  StatusOr<v1::ServerConfig> config = Read(R"(
backends: [{name: e, openai: {base_url: "!"}}]
models: [{name: m, targets: [{backend: e}]}])");
  ASSERT_TRUE(config.ok()) << config.status();
  v1::GenerateRequest request;
  request.set_model("m");
  const v1::GenerateResponse response = Ask(*std::move(config), WithEcho(), request);
  EXPECT_EQ(response.text(), "hello!");
  EXPECT_EQ(response.backend(), "e");
}

TEST(BackendRegistryTest, AnnotationsForLocalReachIt) {
  v1::GenerateRequest request;
  request.set_model("local");
  request.set_output_schema(R"({"type": "object", "required": ["a"], "properties": {"a": {"type": "string", )"
                            R"("x-millrace-local": {"const": "seen"}}}})");
  EXPECT_EQ(Ask(BuiltinServerConfig(), BuiltinBackends(), request).text(), R"({"a":"seen"})");
}

TEST(BackendRegistryTest, AKindChecksItsConfigurationAndReadsItsFiles) {
  const auto config = Read("backends: [{name: e, openai: {base_url: silence}}]");
  ASSERT_FALSE(config.ok());
  EXPECT_THAT(config.status().ToString(), HasSubstr("s.yaml:1:41: backends[0].openai.base_url: an echo needs a sound"));
  const auto read = Read("backends: [{name: e, openai: {base_url: file}}]");
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->backends(0).openai().base_url(), "7");
}

TEST(BackendRegistryTest, ASecretOfAKindMustExist) {
  auto config = Read("backends: [{name: e, openai: {base_url: x, api_key: {env: MILLRACE_TEST_NO_SUCH}}}]");
  ASSERT_TRUE(config.ok()) << config.status();
  const Status status = CheckBackends(*config, ".", WithEcho());
  EXPECT_EQ(ReasonOf(status), Reason::kInvalidDefinition);
  EXPECT_THAT(status.ToString(), HasSubstr("backend e: "));
  EXPECT_THAT(status.ToString(), HasSubstr("MILLRACE_TEST_NO_SUCH"));
}

TEST(BackendRegistryTest, AKindThatWasNotAddedIsRefused) {
  v1::BackendConfig config;
  EXPECT_EQ(WithEcho().Of(config), nullptr);
  config.mutable_simulated();
  EXPECT_EQ(WithEcho().Of(config), nullptr);
  const auto unknown = Read("backends: [{name: e, simulated: {}}]");
  ASSERT_FALSE(unknown.ok());
  EXPECT_THAT(unknown.status().ToString(), HasSubstr("backends[0].simulated: this server has no such kind of backend"));
}

}  // namespace
}  // namespace millrace::backend
