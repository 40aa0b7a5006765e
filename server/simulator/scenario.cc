#include "server/simulator/scenario.h"

#include <fmt/format.h>

#include "server/base/random.h"
#include "server/simulator/simulation_setup.h"

namespace millrace::simulator {
namespace {

constexpr char kSchema[] =
    R"({"type":"object","properties":{"summary":{"type":"string"}},"required":["summary"],"additionalProperties":false})";

Duration Between(Random& random, Duration low, Duration high) {
  return low + Duration(static_cast<int64_t>(random.Uniform() * static_cast<double>((high - low).count())));
}

v1::Stage* AddStage(v1::Pipeline& pipeline, std::string name, const std::vector<std::string>& needs) {
  v1::Stage* stage = pipeline.add_stages();
  stage->set_name(std::move(name));
  for (const std::string& need : needs) stage->add_needs(need);
  return stage;
}

void FillPrepare(v1::Prepare& prepare, Random& random, int number) {
  v1::Rule* set = prepare.add_rules();
  set->mutable_set()->set_field(fmt::format("seen_{}", number));
  set->mutable_set()->set_value("true");
  if (random.Chance(0.4)) {
    v1::Rule* drop = prepare.add_rules();
    drop->set_name("drop some");
    drop->mutable_when()->mutable_compare()->set_field("lot");
    drop->mutable_when()->mutable_compare()->set_less(static_cast<double>(random.Below(20)));
    drop->mutable_drop()->set_reason("drawn");
  }
  if (random.Chance(0.4)) {
    v1::Rule* validate = prepare.add_rules();
    validate->mutable_validate()->set_message("lot too high");
    v1::Comparison* compare = validate->mutable_validate()->mutable_condition()->mutable_compare();
    compare->set_field("lot");
    compare->set_at_most(95);
  }
}

void FillSynthesize(v1::Synthesize& synthesize, const std::string& stage, Random& random) {
  synthesize.set_model("writer");
  // Items with the same topic ask the same question.
  const char* field = random.Chance(0.3) ? "topic" : "key";
  synthesize.set_prompt(fmt::format("Write about [[{}/{{{{{}}}}}]].", stage, field));
  synthesize.set_output_schema(kSchema);
  synthesize.set_output_field(fmt::format("{}_answer", stage));
}

void FillCluster(v1::Cluster& cluster) {
  v1::LexicalCluster* lexical = cluster.mutable_lexical();
  lexical->add_fields()->set_field("text");
  v1::ClusterPass* pass = cluster.add_passes();
  pass->set_threshold(0.3);
  pass->set_min_size(1);
  cluster.set_singletons(v1::SINGLETONS_KEEP);
  cluster.set_title_field("text");
  v1::GroupField* keep = cluster.add_keep();
  keep->set_field("lot");
  keep->set_pick(v1::GroupField::PICK_MIN);
  v1::GroupField* key = cluster.add_keep();
  key->set_field("key");
  key->set_pick(v1::GroupField::PICK_FIRST);
  v1::GroupField* topic = cluster.add_keep();
  topic->set_field("topic");
  topic->set_pick(v1::GroupField::PICK_FIRST);
}

void DrawPipeline(Scenario& scenario, Random& random) {
  v1::Pipeline& pipeline = scenario.pipeline;
  pipeline.set_name("drawn");
  AddStage(pipeline, "source", {})->mutable_fetch()->mutable_inline_();
  std::vector<std::string> ends = {"source"};
  bool grouped = false;
  const int middles = 1 + static_cast<int>(random.Below(4));
  for (int i = 0; i < middles; ++i) {
    // Mostly a chain; sometimes a branch that joins it again at the end.
    const std::string need = random.Chance(0.75) ? ends.back() : ends[random.Below(ends.size())];
    const std::string name = fmt::format("s{}", i);
    v1::Stage* stage = AddStage(pipeline, name, {need});
    const double lot = random.Uniform();
    if (lot < 0.45) {
      FillSynthesize(*stage->mutable_synthesize(), name, random);
      stage->set_concurrency(1 + static_cast<int32_t>(random.Below(40)));
    } else if (lot < 0.85 || grouped) {
      FillPrepare(*stage->mutable_prepare(), random, i);
      if (random.Chance(0.2)) {
        stage->mutable_when()->mutable_compare()->set_field("lot");
        stage->mutable_when()->mutable_compare()->set_at_least(30);
      }
    } else {
      FillCluster(*stage->mutable_cluster());
      grouped = true;
    }
    ends.push_back(name);
  }
  v1::Stage* store = AddStage(pipeline, "saved", {ends.back()});
  if (ends.size() > 2 && !grouped && random.Chance(0.15)) {
    // Two streams with the same item ids join: the duplicate ids must fail cleanly.
    store->add_needs(ends[ends.size() - 2]);
  }
  store->mutable_store()->mutable_jsonl()->set_path("out.jsonl");
}

void DrawItems(Scenario& scenario, Random& random) {
  static constexpr const char* kWords[] = {"flood", "vote", "court", "storm", "strike", "launch", "merger", "treaty"};
  const int count = 20 + static_cast<int>(random.Below(181));
  for (int i = 0; i < count; ++i) {
    v1::InputItem item;
    item.set_id(fmt::format("i{:03}", i));
    const char* word = kWords[random.Below(8)];
    item.set_json(fmt::format(R"({{"key":"k{0}","topic":"{1}","lot":{2},"text":"{1} {3} in town {4}"}})", i, word,
                              random.Below(100), kWords[random.Below(8)], random.Below(5)));
    scenario.items.push_back(std::move(item));
  }
  scenario.items_with_request = random.Chance(0.6);
  scenario.parts = 1 + static_cast<int>(random.Below(4));
}

// Adds limits to the number of slots, or replaces it.
void DrawLimits(v1::TargetLimits& limits, Random& random) {
  if (random.Chance(0.3)) limits.set_rpm(120 + static_cast<int64_t>(random.Below(3000)));
  if (random.Chance(0.2)) limits.set_tpm(200'000 + static_cast<int64_t>(random.Below(5'000'000)));
  if (random.Chance(0.2)) limits.mutable_max_concurrency()->set_mode(v1::Concurrency::MODE_AUTO);
}

// Lets a client ask for vectors beside the run. Its requests share texts, and a batch has fewer texts than most
// requests.
void DrawEmbeds(Scenario& scenario) {
  Random random(scenario.seed ^ 0xe4bed);  // so that the draws of everything else stay as they are
  if (!random.Chance(0.5)) return;
  const auto batch = 1 + static_cast<int32_t>(random.Below(8));
  scenario.config.mutable_models(0)->mutable_targets(0)->mutable_limits()->set_embed_texts(batch);
  const int count = 1 + static_cast<int>(random.Below(8));
  for (int i = 0; i < count; ++i) {
    std::vector<std::string>& texts = scenario.embeds.emplace_back();
    const int size = 1 + static_cast<int>(random.Below(20));
    for (int j = 0; j < size; ++j) texts.push_back(fmt::format("text {}", random.Below(60)));
  }
}

// Makes some items wait for a wall time.
void ParkSome(Scenario& scenario, Random& random) {
  const int64_t begin = SimulatedClock().WallMicros() / 1'000'000;
  for (v1::InputItem& item : scenario.items) {
    if (!random.Chance(0.1)) continue;
    item.mutable_json()->pop_back();
    *item.mutable_json() += fmt::format(R"(,"wake":{}}})", begin + 1 + static_cast<int64_t>(random.Below(10)));
  }
}

}  // namespace

void DrawProviderFaults(ProviderProfile& profile, Random& random) {
  const auto draw = [&random](double& share, double most) {
    if (random.Chance(0.4)) share = random.Uniform() * most;
  };
  draw(profile.refused, 0.2);
  draw(profile.rate_limited, 0.3);
  draw(profile.server_error, 0.3);
  draw(profile.cut_before_answer, 0.2);
  draw(profile.cut_in_answer, 0.2);
  draw(profile.hangs, 0.03);
}

void DrawFaults(Scenario& scenario, Random& random, Duration span) {
  const int crashes = random.Chance(0.7) ? 1 + static_cast<int>(random.Below(4)) : 0;
  const bool power = random.Chance(0.4);
  const bool disk = random.Chance(0.3);
  const bool sync = random.Chance(0.3);
  const bool reads = random.Chance(0.2);
  const bool wall = random.Chance(0.3);
  const bool pause = random.Chance(0.3);
  for (int incarnation = 0; incarnation <= crashes; ++incarnation) {
    std::vector<FaultAt> faults;
    const auto add = [&](bool enabled, Fault fault, Duration longest) {
      if (!enabled || !random.Chance(0.6)) return;
      const Duration at = Between(random, Duration(0), span);
      faults.push_back({at, fault, Between(random, std::chrono::milliseconds(1), longest)});
    };
    add(disk, Fault::kDiskLow, std::chrono::seconds(3));
    add(disk, Fault::kDiskFull, std::chrono::seconds(3));
    add(sync, Fault::kFailedSync, std::chrono::seconds(1));
    add(reads, Fault::kReadError, std::chrono::seconds(1));
    add(wall, Fault::kWallJump, std::chrono::hours(1));
    add(pause, Fault::kPause, std::chrono::seconds(5));
    if (incarnation < crashes) {
      const bool by_power = power && scenario.durable != Durable::kProcess && random.Chance(0.5);
      faults.push_back({Between(random, Duration(0), span), by_power ? Fault::kPowerLoss : Fault::kKill, {}});
    }
    scenario.incarnations.push_back(std::move(faults));
  }
}

Scenario DrawScenario(uint64_t seed) {
  Random random(seed);
  Scenario scenario;
  scenario.seed = seed;
  DrawPipeline(scenario, random);
  DrawItems(scenario, random);
  scenario.durable = random.Chance(0.6) ? Durable::kSync : random.Chance(0.5) ? Durable::kInterval : Durable::kProcess;
  scenario.config = WriterConfig(1 + static_cast<int>(random.Below(30)));
  ProviderProfile& profile = scenario.profile;
  profile.latency_median = Between(random, std::chrono::milliseconds(5), std::chrono::milliseconds(400));
  DrawProviderFaults(profile, random);
  const auto draw = [&random](double& share, double most) {
    if (random.Chance(0.4)) share = random.Uniform() * most;
  };
  draw(profile.wrong_schema, 0.3);
  draw(profile.refuses_for_good, 0.1);
  DrawFaults(scenario, random, std::chrono::seconds(4));
  scenario.cancel = random.Chance(0.1);
  scenario.cancel_at = Between(random, std::chrono::milliseconds(50), std::chrono::seconds(6));
  scenario.redrive = !scenario.cancel && random.Chance(0.3);
  scenario.racers = random.Chance(0.2) ? 4 : 1;
  if (random.Chance(0.25)) ParkSome(scenario, random);
  scenario.run_again = seed % 2 == 0;
  if (random.Chance(0.2)) {
    profile.down_at = Between(random, Duration(0), std::chrono::seconds(3));
    profile.down_for = Between(random, std::chrono::seconds(1), std::chrono::seconds(60));
  }
  DrawLimits(*scenario.config.mutable_models(0)->mutable_targets(0)->mutable_limits(), random);
  if (random.Chance(0.2)) {
    profile.locked_at = Between(random, Duration(0), std::chrono::seconds(3));
    profile.locked_for = Between(random, std::chrono::seconds(1), std::chrono::seconds(60));
  }
  DrawEmbeds(scenario);
  return scenario;
}

Scenario WithoutFaults(Scenario scenario) {
  ProviderProfile calm;
  calm.latency_median = scenario.profile.latency_median;
  calm.latency_sigma = scenario.profile.latency_sigma;
  calm.time_per_token = scenario.profile.time_per_token;
  calm.answer_bytes = scenario.profile.answer_bytes;
  // Failures that the question alone decides are part of the result, not faults.
  calm.wrong_schema = scenario.profile.wrong_schema;
  calm.no_json = scenario.profile.no_json;
  calm.refuses_for_good = scenario.profile.refuses_for_good;
  scenario.profile = calm;
  scenario.incarnations.clear();
  scenario.cancel = false;
  scenario.embeds.clear();
  scenario.racers = 1;
  return scenario;
}

MemoryStoreOptions StoreOptions(const Scenario& scenario, int64_t disk_reserve) {
  MemoryStoreOptions options;
  switch (scenario.durable) {
    case Durable::kSync:
      options.durability.mode = Durability::Mode::kSync;
      break;
    case Durable::kInterval:
      options.durability.mode = Durability::Mode::kInterval;
      break;
    case Durable::kProcess:
      options.durability.mode = Durability::Mode::kProcess;
      break;
  }
  options.disk_reserve = disk_reserve;
  return options;
}

}  // namespace millrace::simulator
