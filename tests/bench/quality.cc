// How well news-events groups titles, on the labelled sets: `quality_bench [PIPELINE.yaml]`. Items go through the
// stages of the pipeline's file as in the server, one set of parameters for all sets; beside it stand every title alone
// and a plain baseline at the threshold that is best for each set and labelling.

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <chrono>
#include <fstream>
#include <iterator>
#include <map>
#include <set>

#include "server/base/json.h"
#include "server/config/binding.h"
#include "server/config/pipeline_file.h"
#include "server/stages/cluster/cluster.h"
#include "server/stages/fetch/fetch.h"
#include "server/stages/merge/merge.h"
#include "server/stages/prepare/prepare.h"
#include "tests/bench/labelled_sets.h"
#include "tests/bench/plain_baseline.h"
#include "tests/bench/scores.h"
#include "tests/stages/barrier.h"

namespace millrace::bench {
namespace {

StatusOr<std::string> FileText(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return absl::NotFoundError(path + ": no such file");
  return std::string((std::istreambuf_iterator<char>(file)), {});
}

StatusOr<v1::Pipeline> LoadPipeline(const std::string& path) {
  const std::string folder = path.substr(0, path.rfind('/') + 1);
  MR_ASSIGN_OR_RETURN(const std::string text, FileText(path));
  const auto load = [folder](std::string_view name) { return FileText(folder + std::string(name)); };
  MR_ASSIGN_OR_RETURN(const PipelineFile file, ReadPipeline(text, path, load));
  v1::ParameterValue input;
  input.set_string("titles.csv");
  MR_ASSIGN_OR_RETURN(BoundPipeline bound, BindParameters(file.pipeline, ParameterValues{{"input", input}}));
  return std::move(bound.pipeline);
}

const v1::Stage* StageOf(const v1::Pipeline& pipeline, v1::Stage::KindCase kind) {
  for (const v1::Stage& stage : pipeline.stages()) {
    if (stage.kind_case() == kind) return &stage;
  }
  return nullptr;
}

// Items that a stage made, as the next one takes them.
std::vector<InputItem> InputsOf(const std::vector<StageItem>& made) {
  std::vector<InputItem> items;
  for (const StageItem& one : made) {
    if (one.state != v1::ITEM_STATE_OK && one.state != v1::ITEM_STATE_DEGRADED) continue;
    InputItem item;
    item.ordinal = static_cast<int64_t>(items.size());
    item.id = one.id;
    item.json = std::make_shared<const std::string>(one.json);
    items.push_back(std::move(item));
  }
  return items;
}

StatusOr<std::vector<InputItem>> Prepared(const v1::Pipeline& pipeline, const std::vector<InputItem>& items) {
  const v1::Stage* stage = StageOf(pipeline, v1::Stage::kPrepare);
  if (stage == nullptr) return items;
  const NoFiles files;
  MR_ASSIGN_OR_RETURN(const StageWork work, PrepareKind().make({pipeline, *stage, files}));
  std::vector<StageItem> made = work.items->Compute(items);
  for (size_t i = 0; i < made.size(); ++i) {
    if (made[i].id.empty()) made[i].id = items[i].id;
  }
  return InputsOf(made);
}

// The families of the prepared items.
StatusOr<std::vector<InputItem>> FamiliesOf(const v1::Pipeline& pipeline, std::vector<InputItem> items) {
  const v1::Stage* cluster = StageOf(pipeline, v1::Stage::kCluster);
  const v1::Stage* merge = StageOf(pipeline, v1::Stage::kMerge);
  if (cluster == nullptr) return absl::InvalidArgumentError("the pipeline has no cluster stage");
  MR_ASSIGN_OR_RETURN(const std::vector<StageItem> families,
                      RunBarrier(ClusterKind(), *cluster, std::move(items), 1000));
  if (merge == nullptr) return InputsOf(families);
  MR_ASSIGN_OR_RETURN(const std::vector<StageItem> merged, RunBarrier(MergeKind(), *merge, InputsOf(families), 1000));
  return InputsOf(merged);
}

StatusOr<Labels> LabelsOfFamilies(const std::vector<InputItem>& families, const std::vector<InputItem>& items) {
  std::map<std::string, int> family_of;
  int next = 0;
  for (const InputItem& family : families) {
    MR_ASSIGN_OR_RETURN(const json::value value, ParseJson(*family.json));
    for (const json::value& member : value.at("members").as_array()) {
      family_of[std::string(member.as_string().data(), member.as_string().size())] = next;
    }
    ++next;
  }
  Labels labels;
  for (const InputItem& item : items) {
    const auto found = family_of.find(item.id);
    labels.push_back(found == family_of.end() ? next++ : found->second);
  }
  return labels;
}

void PrintRow(const std::string& name, const Scores& scores, const std::string& note) {
  fmt::print("  {:<38} {:.3f}  {:.3f}  {:.3f}  {:.3f}  {:>5.1f}%  {:>5} of {:>4} ({:>4})  {}\n", name, scores.precision,
             scores.recall, scores.f1, scores.pairwise_f1, 100 * scores.assigned, scores.found, scores.truth,
             scores.matched, note);
}

void PrintBaseline(const std::vector<Joining>& tree, size_t items, const Labels& truth) {
  Scores best;
  double best_threshold = 0;
  for (int step = 1; step <= 100; ++step) {
    const Scores scores = ScoresOf(CutAt(tree, items, step / 100.0), truth);
    if (scores.f1 <= best.f1) continue;
    best = scores;
    best_threshold = step / 100.0;
  }
  PrintRow("plain average linkage, best threshold", best, fmt::format("at {:.2f}", best_threshold));
}

Status PrintSet(const v1::Pipeline& pipeline, const LabelledSet& set) {
  MR_ASSIGN_OR_RETURN(std::vector<InputItem> prepared, Prepared(pipeline, set.items));
  const auto begin = std::chrono::steady_clock::now();
  MR_ASSIGN_OR_RETURN(const std::vector<InputItem> families, FamiliesOf(pipeline, std::move(prepared)));
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  MR_ASSIGN_OR_RETURN(const Labels found, LabelsOfFamilies(families, set.items));
  std::vector<std::string> texts;
  Labels alone;
  for (const InputItem& item : set.items) {
    texts.push_back(FieldOf(item, "title") + " " + FieldOf(item, "text"));
    alone.push_back(static_cast<int>(alone.size()));
  }
  const std::vector<Joining> tree = PlainTree(texts);
  fmt::print("\n{}: {} items, cluster and merge in {:.2f} s\n", set.name, set.items.size(), seconds);
  for (const auto& [labelling, names] : set.labels) {
    const Labels truth = LabelsOf(names);
    fmt::print("  {:<38} {:<5}  {:<5}  {:<5}  {:<5}  {:>6}  {:>5}    {:>4}\n", labelling, "prec", "rec", "F1", "pair",
               "in one", "of 3+", "true (found)");
    PrintRow("every title alone", ScoresOf(alone, truth), "");
    PrintBaseline(tree, set.items.size(), truth);
    PrintRow("news-events", ScoresOf(found, truth), "");
  }
  return absl::OkStatus();
}

std::set<std::string> Split(const std::string& text) {
  std::set<std::string> parts;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('|', begin), text.size());
    parts.insert(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

// Theaters by subregion, from the table that lies beside the gazetteers.
StatusOr<std::map<std::string, std::string>> TheatersBySubregion(const std::string& path) {
  v1::Stage stage;
  stage.mutable_fetch()->mutable_csv()->set_path(path);
  MR_ASSIGN_OR_RETURN(const std::string text, FileText(path));
  const v1::Pipeline pipeline;
  const NoFiles files;
  MR_ASSIGN_OR_RETURN(const StageWork work, FetchKind().make({pipeline, stage, files}));
  MR_ASSIGN_OR_RETURN(const RowReader::Rows rows, work.fetch->MakeReader()->Feed(text, true));
  std::map<std::string, std::string> theaters;
  for (const FetchedRow& row : rows.rows) {
    MR_ASSIGN_OR_RETURN(const json::value value, ParseJson(row.item.json));
    const auto text_of = [&](const char* name) {
      const json::string& field = value.at(name).as_string();
      return std::string(field.data(), field.size());
    };
    for (const std::string& subregion : Split(text_of("subregions"))) theaters[subregion] = text_of("theater");
  }
  return theaters;
}

Status PrintTheaters(const v1::Pipeline& pipeline, const std::string& table, const LabelledSet& set) {
  using Theaters = std::map<std::string, std::string>;
  MR_ASSIGN_OR_RETURN(const Theaters theaters, TheatersBySubregion(table));
  MR_ASSIGN_OR_RETURN(const std::vector<InputItem> prepared, Prepared(pipeline, set.items));
  std::map<std::string, std::string> named;
  for (const InputItem& item : prepared) {
    if (const std::string theater = FieldOf(item, "theater"); !theater.empty()) named[item.id] = theater;
  }
  size_t judged = 0;
  size_t right = 0;
  for (size_t i = 0; i < set.items.size(); ++i) {
    std::set<std::string> truth;
    for (const std::string& subregion : Split(set.subregions[i])) {
      if (const auto found = theaters.find(subregion); found != theaters.end()) truth.insert(found->second);
    }
    const auto found = named.find(set.items[i].id);
    if (truth.size() != 1 || found == named.end()) continue;
    ++judged;
    right += *truth.begin() == found->second ? 1 : 0;
  }
  const auto share = [](size_t part, size_t whole) { return whole == 0 ? 0 : 100.0 * double(part) / double(whole); };
  fmt::print(
      "\ntheater of {}: {:.1f}% right of {} rows where one is named and the labels lie in one; named in {:.1f}%\n",
      set.name, share(right, judged), judged, share(named.size(), set.items.size()));
  return absl::OkStatus();
}

Status Measure(const std::string& path) {
  MR_ASSIGN_OR_RETURN(const v1::Pipeline pipeline, LoadPipeline(path));
  const v1::Stage* titles = StageOf(pipeline, v1::Stage::kFetch);
  if (titles == nullptr) return absl::InvalidArgumentError("the pipeline has no fetch stage");
  std::vector<std::string> missing;
  const std::vector<LabelledSet> sets = LabelledSets(titles->fetch(), missing);
  for (const std::string& what : missing) {
    fmt::print("left out, since its labelled set is not there (MILLRACE_DATA): {}\n", what);
  }
  for (const LabelledSet& set : sets) MR_RETURN_IF_ERROR(PrintSet(pipeline, set));
  const std::string table = path.substr(0, path.rfind('/') + 1) + "news-events/theaters.csv";
  for (const LabelledSet& set : sets) {
    if (!set.subregions.empty()) MR_RETURN_IF_ERROR(PrintTheaters(pipeline, table, set));
  }
  return absl::OkStatus();
}

}  // namespace
}  // namespace millrace::bench

int main(int argc, char** argv) {
  const std::string path = argc > 1 ? argv[1] : "configs/pipelines/news-events.yaml";
  const millrace::Status measured = millrace::bench::Measure(path);
  if (measured.ok()) return 0;
  fmt::print(stderr, "{}\n", millrace::MessageOf(measured));
  for (const auto& wrong : millrace::ViolationsOf(measured)) {
    fmt::print(stderr, "  {}: {}\n", wrong.field, wrong.description);
  }
  return 1;
}
