"""The long messages at server version 176, field by field.

The names are Interactive Brokers' own, as in its client library.
"""

from trading_assets_tests.fake_gateway.wire import UNSET, UNSET_INTEGER, Layout

CONTRACT = """
    conId symbol secType lastTradeDate strike right multiplier exchange primaryExchange
    currency localSymbol tradingClass
"""
"""How a client names a contract, wherever it does."""

PLACE_ORDER = Layout.of(f"""
    _=3 orderId {CONTRACT} secIdType secId
    action totalQuantity orderType lmtPrice auxPrice tif ocaGroup account openClose origin
    orderRef transmit parentId blockOrder sweepToFill displaySize triggerMethod outsideRth
    hidden _ discretionaryAmt goodAfterTime goodTillDate faGroup faMethod faPercentage
    faProfile modelCode shortSaleSlot designatedLocation exemptCode ocaType rule80A
    settlingFirm allOrNone minQty percentOffset eTradeOnly firmQuoteOnly nbboPriceCap
    auctionStrategy startingPrice stockRefPrice delta stockRangeLower stockRangeUpper
    overridePercentageConstraints volatility volatilityType deltaNeutralOrderType
    deltaNeutralAuxPrice continuousUpdate referencePriceType trailStopPrice trailingPercent
    scaleInitLevelSize scaleSubsLevelSize scalePriceIncrement scaleTable activeStartTime
    activeStopTime hedgeType optOutSmartRouting clearingAccount clearingIntent notHeld
    deltaNeutralContract algoStrategy algoId whatIf orderMiscOptions solicited randomizeSize
    randomizePrice conditions adjustedOrderType triggerPrice lmtPriceOffset
    adjustedStopPrice adjustedStopLimitPrice adjustedTrailingAmount adjustableTrailingUnit
    extOperator softDollarTierName softDollarTierValue cashQty mifid2DecisionMaker
    mifid2DecisionAlgo mifid2ExecutionTrader mifid2ExecutionAlgo dontUseAutoPriceForHedge
    isOmsContainer discretionaryUpToLimitPrice usePriceMgmtAlgo duration postToAts
    autoCancelParent advancedErrorOverride manualOrderTime
""")
"""A plain order; the optional groups (legs, algorithms, conditions) are not read here."""

HISTORICAL_DATA = Layout.of(f"""
    _=20 reqId {CONTRACT} includeExpired endDateTime barSize duration useRTH whatToShow
    formatDate keepUpToDate chartOptions
""")

HEAD_TIMESTAMP = Layout.of(f"""
    _=87 reqId {CONTRACT} includeExpired useRTH whatToShow formatDate
""")

CONTRACT_DETAILS_REQUEST = Layout.of(f"""
    _=9 _=8 reqId {CONTRACT} includeExpired secIdType secId issuerId
""")

MARKET_DATA = Layout.of(f"""
    _=1 _=11 reqId {CONTRACT} deltaNeutralContract genericTicks snapshot
    regulatorySnapshot options
""")

CONTRACT_DETAILS_HEAD = Layout.of("""
    _=10 reqId symbol secType=STK lastTradeDate strike=0 right exchange=SMART currency
    localSymbol marketName tradingClass conId minTick multiplier orderTypes validExchanges
    priceMagnifier=1 underConId=0 longName primaryExchange contractMonth industry category
    subcategory timeZoneId tradingHours liquidHours evRule evMultiplier
""")
"""What stands before the count of security identifiers."""

CONTRACT_DETAILS_TAIL = Layout.of("""
    aggGroup=1 underSymbol underSecType marketRuleIds realExpirationDate stockType=COMMON
    minSize=0.0001 sizeIncrement=0.0001 suggestedSizeIncrement=100
""")

ORDER_STATUS = Layout.of("""
    _=3 orderId status filled remaining averagePrice permId parentId=0 lastPrice clientId
    whyHeld mktCapPrice=0
""")

OPEN_ORDER = Layout.of(f"""
    _=5 orderId conId symbol secType=STK lastTradeDate strike=0 right=? multiplier
    exchange=SMART currency localSymbol tradingClass
    action totalQuantity orderType lmtPrice=0.0 auxPrice=0.0 tif ocaGroup account openClose
    origin=0 orderRef clientId permId outsideRth=0 hidden=0 discretionaryAmt=0 goodAfterTime
    deprecated faGroup faMethod faPercentage faProfile modelCode goodTillDate rule80A
    percentOffset settlingFirm shortSaleSlot=0 designatedLocation exemptCode=-1
    auctionStrategy=0 startingPrice stockRefPrice delta stockRangeLower stockRangeUpper
    displaySize={UNSET_INTEGER} blockOrder=0 sweepToFill=0 allOrNone=0 minQty ocaType=3
    eTradeOnly=0 firmQuoteOnly=0 nbboPriceCap parentId=0 triggerMethod=0 volatility
    volatilityType=0 deltaNeutralOrderType=None deltaNeutralAuxPrice
    deltaNeutralConId=0 deltaNeutralSettlingFirm deltaNeutralClearingAccount
    deltaNeutralClearingIntent deltaNeutralOpenClose=? deltaNeutralShortSale=0
    deltaNeutralShortSaleSlot=0 deltaNeutralDesignatedLocation
    continuousUpdate=0 referencePriceType=0 trailStopPriceOfTrail trailingPercent
    basisPoints basisPointsType comboLegsDescription comboLegs=0 orderComboLegs=0
    smartComboRoutingParams=0 scaleInitLevelSize={UNSET_INTEGER}
    scaleSubsLevelSize={UNSET_INTEGER} scalePriceIncrement hedgeType optOutSmartRouting=0
    clearingAccount clearingIntent=IB notHeld=0 deltaNeutralContract=0 algoStrategy
    solicited=0 whatIf=0 status
    initMarginBefore={UNSET} maintMarginBefore={UNSET} equityWithLoanBefore={UNSET}
    initMarginChange={UNSET} maintMarginChange={UNSET} equityWithLoanChange={UNSET}
    initMarginAfter={UNSET} maintMarginAfter={UNSET} equityWithLoanAfter={UNSET}
    commission minCommission maxCommission commissionCurrency warningText
    randomizeSize=0 randomizePrice=0 conditions=0 adjustedOrderType=None
    triggerPrice={UNSET} trailStopPrice={UNSET} lmtPriceOffset={UNSET}
    adjustedStopPrice={UNSET} adjustedStopLimitPrice={UNSET}
    adjustedTrailingAmount={UNSET} adjustableTrailingUnit=0 softDollarTierName
    softDollarTierValue softDollarTierDisplayName cashQty=0 dontUseAutoPriceForHedge=1
    isOmsContainer=0 discretionaryUpToLimitPrice=0 usePriceMgmtAlgo=0 duration postToAts
    autoCancelParent=0 minTradeQty minCompeteSize competeAgainstBestOffset midOffsetAtWhole
    midOffsetAtHalf
""")
"""The delta-neutral order type is the word None, so the eight fields after it are there."""

COMPLETED_ORDER = Layout.of(f"""
    _=101 conId symbol secType=STK lastTradeDate strike=0 right=? multiplier exchange=SMART
    currency localSymbol tradingClass
    action totalQuantity orderType lmtPrice=0.0 auxPrice=0.0 tif ocaGroup account openClose
    origin=0 orderRef permId outsideRth=0 hidden=0 discretionaryAmt=0 goodAfterTime faGroup
    faMethod faPercentage faProfile modelCode goodTillDate rule80A percentOffset
    settlingFirm shortSaleSlot=0 designatedLocation exemptCode=-1 startingPrice
    stockRefPrice delta stockRangeLower stockRangeUpper displaySize={UNSET_INTEGER}
    sweepToFill=0 allOrNone=0 minQty ocaType=3 triggerMethod=0 volatility volatilityType=0
    deltaNeutralOrderType=None deltaNeutralAuxPrice deltaNeutralConId=0
    deltaNeutralShortSale=0 deltaNeutralShortSaleSlot=0 deltaNeutralDesignatedLocation
    continuousUpdate=0 referencePriceType=0 trailStopPriceOfTrail trailingPercent
    comboLegsDescription comboLegs=0 orderComboLegs=0 smartComboRoutingParams=0
    scaleInitLevelSize={UNSET_INTEGER} scaleSubsLevelSize={UNSET_INTEGER}
    scalePriceIncrement hedgeType clearingAccount clearingIntent=IB notHeld=0
    deltaNeutralContract=0 algoStrategy solicited=0 status randomizeSize=0
    randomizePrice=0 conditions=0 trailStopPrice={UNSET} lmtPriceOffset={UNSET} cashQty=0
    dontUseAutoPriceForHedge=1 isOmsContainer=0 autoCancelDate filledQuantity
    refFuturesConId=0 autoCancelParent=0 shareholder imbalanceOnly=0 routeMarketableToBbo=0
    parentPermId={2**63 - 1} completedTime completedStatus minTradeQty minCompeteSize
    competeAgainstBestOffset midOffsetAtWhole midOffsetAtHalf
""")
"""There is neither an order id nor a client id."""

EXECUTION = Layout.of("""
    _=11 reqId orderId conId symbol secType=STK lastTradeDate strike=0.0 right multiplier
    exchange currency localSymbol tradingClass execId time account executedOn side shares
    price permId clientId liquidation=0 cumulativeShares averagePrice orderRef evRule
    evMultiplier modelCode lastLiquidity=2
""")

COMMISSION = Layout.of(f"""
    _=59 _=1 execId commission currency realizedPnl={UNSET} yield={UNSET} yieldDate
""")

PORTFOLIO = Layout.of("""
    _=7 _=8 conId symbol secType=STK lastTradeDate strike=0 right=0 multiplier
    primaryExchange currency localSymbol tradingClass shares marketPrice marketValue
    averageCost unrealizedPnl realizedPnl account
""")

POSITION = Layout.of("""
    _=61 _=3 account conId symbol secType=STK lastTradeDate strike=0.0 right multiplier
    exchange currency localSymbol tradingClass shares averageCost
""")
