#include "server/engine/run/measures.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <map>
#include <optional>
#include <utility>

#include <boost/json.hpp>

#include "server/base/json.h"
#include "server/base/number.h"
#include "server/base/work_meter.h"
#include "server/stages/stop_flag.h"

namespace millrace {
namespace {

// CPU time of all conditions for one item.
constexpr Duration kItemCpuMax = std::chrono::seconds(4);

// Accumulator of one figure, fed with every item of its stage.
class Figure {
 public:
  static StatusOr<Figure> Make(const v1::Measure& measure) {
    Figure figure;
    figure.kind_ = measure.figure_case();
    const v1::ItemSet* set = nullptr;
    switch (figure.kind_) {
      case v1::Measure::kCount:
        set = &measure.count();
        break;
      case v1::Measure::kShare:
        set = &measure.share();
        break;
      case v1::Measure::kMean:
        figure.Reads(measure.mean().stage(), measure.mean().field());
        break;
      case v1::Measure::kSum:
        figure.Reads(measure.sum().stage(), measure.sum().field());
        break;
      case v1::Measure::kQuantile:
        figure.Reads(measure.quantile().stage(), measure.quantile().field());
        figure.q_ = measure.quantile().q();
        break;
      default:
        break;
    }
    if (set != nullptr) {
      figure.stage_ = set->stage();
      if (set->has_where()) {
        MR_ASSIGN_OR_RETURN(figure.where_, rules::ConditionEvaluator::Compile(set->where()));
      }
    }
    return figure;
  }

  const std::string& stage() const { return stage_; }

  void Add(const json::value& item, Oddities& oddities) {
    ++items_;
    if (!field_.empty()) {
      const json::value* value = FindPath(item, field_);
      if (value == nullptr) return;
      std::optional<double> number;
      if (value->is_array()) number = static_cast<double>(value->as_array().size());
      if (IsNumber(*value)) number = ToDouble(*value);
      if (const json::string* text = IfText(*value); text && LooksLikeNumber({text->data(), text->size()})) {
        oddities.Note(storage::v1::Oddity::KIND_TEXT_LEFT_OUT_OF_FIGURE, field_, *value);
      }
      if (!number || !std::isfinite(*number)) return;
      ++held_;
      sum_ += *number;
      if (kind_ == v1::Measure::kQuantile) numbers_.push_back(*number);
    } else if (!where_ || where_->Holds(item, &oddities)) {
      ++held_;
    }
  }

  std::optional<double> Value() {
    switch (kind_) {
      case v1::Measure::kCount:
        return static_cast<double>(held_);
      case v1::Measure::kShare:
        if (items_ == 0) return std::nullopt;
        return static_cast<double>(held_) / static_cast<double>(items_);
      case v1::Measure::kMean:
        if (held_ == 0) return std::nullopt;
        return sum_ / static_cast<double>(held_);
      case v1::Measure::kSum:
        return sum_;
      case v1::Measure::kQuantile: {
        if (numbers_.empty()) return std::nullopt;
        const double rank = std::ceil(q_ * static_cast<double>(numbers_.size()));
        const size_t at = std::min(numbers_.size() - 1, static_cast<size_t>(std::max(rank, 1.0)) - 1);
        std::nth_element(numbers_.begin(), numbers_.begin() + static_cast<int64_t>(at), numbers_.end());
        return numbers_[at];
      }
      default:
        return std::nullopt;
    }
  }

 private:
  void Reads(const std::string& stage, const std::string& field) {
    stage_ = stage;
    field_ = field;
  }

  v1::Measure::FigureCase kind_ = v1::Measure::FIGURE_NOT_SET;
  std::string stage_;
  std::string field_;  // empty: items are counted
  std::optional<rules::ConditionEvaluator> where_;
  double q_ = 0;
  int64_t items_ = 0;
  int64_t held_ = 0;
  double sum_ = 0;
  std::vector<double> numbers_;
};

struct Figures {
  std::vector<Figure> figures;
  std::map<std::string, Oddities> oddities;  // by stage
};

// Feeds all figures of a stage in one pass over its rows.
Task<Status> ReadStage(StepHost& host, int stage, std::shared_ptr<Figures> figures, std::vector<size_t> fed) {
  Oddities& all = figures->oddities[host.plan().stage(stage).name];
  const std::unique_ptr<ItemReader> reader = ReadStage(host, stage);
  while (true) {
    MR_CO_ASSIGN_OR_RETURN(auto items, co_await reader->Next());
    if (items.empty()) co_return absl::OkStatus();
    const StopFlag stop(host.stop());
    auto add = [figures, &all, fed, items = std::move(items), flag = stop.Share()]() -> Status {
      for (const InputItem& item : items) {
        const WorkMeter meter({.cpu = kItemCpuMax, .name = "the conditions of the measures"}, flag.get());
        const StatusOr<json::value> value = ParseExact(*item.json);
        if (!value.ok()) continue;
        Oddities oddities;
        for (const size_t figure : fed) figures->figures[figure].Add(*value, oddities);
        all.Count(oddities);
        MR_RETURN_IF_ERROR(meter.status());
      }
      return absl::OkStatus();
    };
    MR_CO_RETURN_IF_ERROR(co_await Compute(host.deps().loop, host.deps().slow(), std::move(add)));
  }
}

}  // namespace

Task<StatusOr<TakenMeasures>> TakeMeasures(StepHost& host, const v1::Pipeline& definition) {
  auto figures = std::make_shared<Figures>();
  std::map<int, std::vector<size_t>> by_stage;
  for (const v1::Measure& measure : definition.measures()) {
    MR_CO_ASSIGN_OR_RETURN(Figure figure, Figure::Make(measure));
    const int stage = host.plan().Find(figure.stage());
    if (stage >= 0) by_stage[stage].push_back(figures->figures.size());
    figures->figures.push_back(std::move(figure));
  }
  for (auto& [stage, fed] : by_stage) {
    MR_CO_RETURN_IF_ERROR(co_await ReadStage(host, stage, figures, fed));
  }
  TakenMeasures taken;
  for (const auto& [stage, oddities] : figures->oddities) {
    for (const storage::v1::Oddity& oddity : oddities.list()) taken.warnings.push_back(WarningOf(stage, oddity));
  }
  std::map<std::string, std::optional<double>> by_name;
  for (int i = 0; i < definition.measures_size(); ++i) {
    const v1::Measure& measure = definition.measures(i);
    std::optional<double> value = figures->figures[i].Value();
    if (measure.has_ratio()) {
      const std::optional<double> of = by_name[measure.ratio().of()];
      const std::optional<double> to = by_name[measure.ratio().to()];
      if (of && to && *to != 0) value = *of / *to;
    }
    by_name[measure.name()] = value;
    v1::MeasureValue& made = taken.values.emplace_back();
    made.set_name(measure.name());
    if (value) made.set_value(*value);
  }
  co_return taken;
}

}  // namespace millrace
