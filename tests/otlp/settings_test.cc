#include "server/otlp/settings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

namespace millrace::otlp {
namespace {

using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;

using Variables = std::map<std::string, std::string>;

StatusOr<Settings> Make(const Variables& variables, const v1::Tracing& config = {}) {
  return MakeSettings(config, [&variables](const std::string& name) -> std::optional<std::string> {
    const auto found = variables.find(name);
    return found == variables.end() ? std::nullopt : std::optional(found->second);
  });
}

Settings Good(const Variables& variables, const v1::Tracing& config = {}) {
  StatusOr<Settings> settings = Make(variables, config);
  EXPECT_TRUE(settings.ok()) << settings.status();
  return settings.ok() ? *std::move(settings) : Settings();
}

std::string ErrorOf(const Variables& variables, const v1::Tracing& config = {}) {
  return std::string(MessageOf(Make(variables, config).status()));
}

v1::Tracing At(const std::string& endpoint) {
  v1::Tracing config;
  config.set_endpoint(endpoint);
  return config;
}

constexpr char kEndpoint[] = "OTEL_EXPORTER_OTLP_ENDPOINT";

TEST(OtlpSettingsTest, TracesAreOffUnlessAReceiverIsNamed) {
  EXPECT_FALSE(Good({}).is_on);
  EXPECT_FALSE(Good({{kEndpoint, ""}}).is_on) << "an empty variable counts as unset";
  EXPECT_TRUE(Good({{kEndpoint, "http://localhost:4317"}}).is_on);
  EXPECT_TRUE(Good({}, At("http://127.0.0.1:4317")).is_on);
  EXPECT_EQ(Good({{"OTEL_TRACES_EXPORTER", "otlp"}}).endpoint.target, "localhost:4317");
}

TEST(OtlpSettingsTest, VariablesSwitchTracesOff) {
  EXPECT_FALSE(Good({{"OTEL_SDK_DISABLED", "TRUE"}}, At("http://127.0.0.1:4317")).is_on);
  EXPECT_FALSE(Good({{"OTEL_TRACES_EXPORTER", "none"}}, At("http://127.0.0.1:4317")).is_on);
  EXPECT_TRUE(Good({{"OTEL_SDK_DISABLED", "yes"}}, At("http://127.0.0.1:4317")).is_on) << "only `true` is true";
}

TEST(OtlpSettingsTest, TheEnvironmentWinsOverTheConfigurationAndTracesOverAllSignals) {
  EXPECT_EQ(Good({{kEndpoint, "http://localhost:1"}}, At("http://localhost:2")).endpoint.target, "localhost:1");
  EXPECT_EQ(Good({{kEndpoint, "http://localhost:1"}, {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://localhost:3"}})
                .endpoint.target,
            "localhost:3");
}

TEST(OtlpSettingsTest, AnEndpointIsASchemeAHostAndAPort) {
  EXPECT_TRUE(Good({{kEndpoint, "https://collector.example:4317/ignored"}}).endpoint.tls);
  EXPECT_EQ(Good({{kEndpoint, "https://collector.example:4317/ignored"}}).endpoint.target, "collector.example:4317");
  EXPECT_EQ(Good({{kEndpoint, "http://[::1]:4317"}}).endpoint.target, "[::1]:4317");
  EXPECT_TRUE(Good({{kEndpoint, "collector.example:4317"}}).endpoint.tls) << "without a scheme it is secure";
  EXPECT_FALSE(Good({{kEndpoint, "localhost:4317"}, {"OTEL_EXPORTER_OTLP_INSECURE", "true"}}).endpoint.tls);
  EXPECT_TRUE(Good({{kEndpoint, "https://localhost:4317"}, {"OTEL_EXPORTER_OTLP_INSECURE", "true"}}).endpoint.tls);
  for (const char* bad : {"http://localhost", "ftp://localhost:4317", "localhost:port", "http://me:secret@localhost:1",
                          "http://:4317", "://"}) {
    EXPECT_FALSE(Make({{kEndpoint, bad}}).ok()) << bad;
    EXPECT_THAT(ErrorOf({{kEndpoint, bad}}), testing::Not(HasSubstr("secret")));
  }
}

TEST(OtlpSettingsTest, PlainHttpIsRefusedToOtherMachines) {
  EXPECT_THAT(ErrorOf({{kEndpoint, "http://collector.example:4317"}}), HasSubstr("use https"));
  EXPECT_THAT(ErrorOf({}, At("http://10.0.0.1:4317")), HasSubstr("tracing.endpoint is plain http"));
  EXPECT_FALSE(Make({{kEndpoint, "10.0.0.1:4317"}, {"OTEL_EXPORTER_OTLP_INSECURE", "true"}}).ok());
}

TEST(OtlpSettingsTest, OtherProtocolsAndExportersAreRefused) {
  EXPECT_THAT(ErrorOf({{kEndpoint, "http://localhost:4318"}, {"OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"}}),
              HasSubstr("by grpc only"));
  EXPECT_THAT(ErrorOf({{kEndpoint, "http://localhost:4318"}, {"OTEL_TRACES_EXPORTER", "zipkin"}}), HasSubstr("zipkin"));
}

TEST(OtlpSettingsTest, HeadersAreDecodedAndNeverShown) {
  const Settings settings =
      Good({{kEndpoint, "http://localhost:4317"}, {"OTEL_EXPORTER_OTLP_HEADERS", "Api-Key=a%20b%3D, x-team = blue ,"}});
  EXPECT_THAT(settings.endpoint.headers, ElementsAre(Pair("api-key", "a b="), Pair("x-team", "blue")));
  for (const char* bad :
       {"secret", "=secret", "k=secret%4", "grpc-secret=1", "secret-bin=1", "k\xc3\xa4=secret", "k=secret%0a"}) {
    const std::string error = ErrorOf({{kEndpoint, "http://localhost:4317"}, {"OTEL_EXPORTER_OTLP_HEADERS", bad}});
    EXPECT_THAT(error, HasSubstr("OTEL_EXPORTER_OTLP_HEADERS")) << bad;
    EXPECT_THAT(error, testing::Not(HasSubstr("secret")));
  }
}

TEST(OtlpSettingsTest, NumbersThatCannotBeReadAreIgnoredWithAWarning) {
  const Settings settings = Good({{kEndpoint, "http://localhost:4317"},
                                  {"OTEL_EXPORTER_OTLP_TIMEOUT", "soon"},
                                  {"OTEL_BSP_SCHEDULE_DELAY", "-1"},
                                  {"OTEL_BSP_MAX_QUEUE_SIZE", "100"},
                                  {"OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "200"}});
  EXPECT_EQ(settings.batch.timeout, 10s);
  EXPECT_EQ(settings.batch.delay, 5s);
  EXPECT_EQ(settings.batch.queue_spans_max, 100u);
  EXPECT_EQ(settings.batch.batch_spans_max, 100u) << "no larger than the queue";
  EXPECT_THAT(settings.warnings, ElementsAre(HasSubstr("OTEL_BSP_SCHEDULE_DELAY is ignored"),
                                             HasSubstr("OTEL_EXPORTER_OTLP_TIMEOUT is ignored")));
}

TEST(OtlpSettingsTest, TimesAreInMilliseconds) {
  const Settings settings = Good({{kEndpoint, "http://localhost:4317"},
                                  {"OTEL_EXPORTER_OTLP_TIMEOUT", "2500"},
                                  {"OTEL_BSP_SCHEDULE_DELAY", "100"},
                                  {"OTEL_BSP_EXPORT_TIMEOUT", "2000"},
                                  {"OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"}});
  EXPECT_EQ(settings.batch.timeout, 2s);
  EXPECT_EQ(settings.batch.delay, 100ms);
  EXPECT_TRUE(settings.endpoint.gzip);
}

TEST(OtlpSettingsTest, SamplersAreThoseOfOpenTelemetry) {
  const auto sampler = [](const std::string& name, const std::string& argument = "") {
    return Good({{kEndpoint, "http://localhost:4317"},
                 {"OTEL_TRACES_SAMPLER", name},
                 {"OTEL_TRACES_SAMPLER_ARG", argument}})
        .recorder.sampler;
  };
  EXPECT_EQ(sampler("parentbased_traceidratio", "0.25").ratio, 0.25);
  EXPECT_TRUE(sampler("parentbased_traceidratio", "0.25").follows_parent);
  EXPECT_FALSE(sampler("traceidratio", "0.25").follows_parent);
  EXPECT_EQ(sampler("traceidratio", "2").ratio, 1);
  EXPECT_TRUE(sampler("parentbased_always_off").is_off);
  EXPECT_FALSE(sampler("always_on").follows_parent);
  EXPECT_EQ(sampler("always_on", "0.1").ratio, 1) << "the argument is for ratios";
  v1::Tracing config = At("http://localhost:4317");
  config.set_sample_ratio(0.5);
  EXPECT_EQ(Good({}, config).recorder.sampler.ratio, 0.5);
  EXPECT_EQ(Good({{"OTEL_TRACES_SAMPLER", "jaeger_remote"}}, config).recorder.sampler.ratio, 0.5);
  EXPECT_EQ(Good({{"OTEL_TRACES_SAMPLER", "always_on"}}, config).recorder.sampler.ratio, 1);
}

TEST(OtlpSettingsTest, TheResourceHasAServiceName) {
  const auto resource = [](Variables variables) {
    variables[kEndpoint] = "http://localhost:4317";
    return Good(variables).resource;
  };
  EXPECT_THAT(resource({}), ElementsAre(Pair("service.name", "millrace")));
  EXPECT_THAT(resource({{"OTEL_RESOURCE_ATTRIBUTES", "service.name=a,team=blue%2Cred"}}),
              ElementsAre(Pair("service.name", "a"), Pair("team", "blue,red")));
  EXPECT_THAT(resource({{"OTEL_RESOURCE_ATTRIBUTES", "service.name=a"}, {"OTEL_SERVICE_NAME", "b"}}),
              ElementsAre(Pair("service.name", "b")));
  EXPECT_THAT(resource({{"OTEL_RESOURCE_ATTRIBUTES", "team=blue,wrong"}}),
              ElementsAre(Pair("service.name", "millrace")));
}

TEST(OtlpSettingsTest, ContentAndPropagationAreRecordedAsConfigured) {
  v1::Tracing config = At("http://localhost:4317");
  EXPECT_FALSE(Good({}, config).recorder.records_content);
  config.set_content(true);
  EXPECT_TRUE(Good({}, config).recorder.records_content);
  EXPECT_TRUE(Good({}, config).recorder.propagates);
  EXPECT_FALSE(Good({{"OTEL_PROPAGATORS", "none"}}, config).recorder.propagates);
  EXPECT_EQ(Good({{"OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "100"}}, config).recorder.text_bytes_max, 100u);
}

}  // namespace
}  // namespace millrace::otlp
