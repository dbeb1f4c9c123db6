"""Inferred foreign keys against the keys that the public schemas are documented to have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from bailiwick.extraction.foreign_keys import infer_foreign_keys
from bailiwick.extraction.json_table import read_json
from bailiwick.extraction.model import ColumnFact, ForeignKey, TableFact
from bailiwick.graph.model import NodeKind

# child.column -> parent.column, as the schemas of these sample databases declare them (views and tables without a
# declared key left out); only relations between tables that the corpus holds
DOCUMENTED = {
    "chinook": """
        albums.artistid artists.artistid; customers.supportrepid employees.employeeid; employees.reportsto
        employees.employeeid; invoice_items.invoiceid invoices.invoiceid; invoice_items.trackid tracks.trackid;
        invoices.customerid customers.customerid; playlist_track.playlistid playlists.playlistid;
        playlist_track.trackid tracks.trackid; tracks.albumid albums.albumid; tracks.mediatypeid
        media_types.mediatypeid; tracks.genreid genres.genreid""",
    "northwind": """
        customercustomerdemo.customerid customers.customerid; customercustomerdemo.customertypeid
        customerdemographics.customertypeid; employees.reportsto employees.employeeid;
        employeeterritories.employeeid employees.employeeid; employeeterritories.territoryid
        territories.territoryid; order_details.orderid orders.orderid; order_details.productid
        products.productid; orders.customerid customers.customerid; orders.employeeid employees.employeeid;
        orders.shipvia shippers.shipperid; products.categoryid categories.categoryid; products.supplierid
        suppliers.supplierid; territories.regionid region.regionid""",
    "pagila": """
        address.city_id city.city_id; city.country_id country.country_id; customer.store_id store.store_id;
        customer.address_id address.address_id; film.language_id language.language_id; film.original_language_id
        language.language_id; film_actor.actor_id actor.actor_id; film_actor.film_id film.film_id;
        film_category.film_id film.film_id; film_category.category_id category.category_id; film_text.film_id
        film.film_id; inventory.film_id film.film_id; inventory.store_id store.store_id; payment.customer_id
        customer.customer_id; payment.staff_id staff.staff_id; payment.rental_id rental.rental_id;
        rental.inventory_id inventory.inventory_id; rental.customer_id customer.customer_id; rental.staff_id
        staff.staff_id; staff.address_id address.address_id; staff.store_id store.store_id;
        store.manager_staff_id staff.staff_id; store.address_id address.address_id""",
    "tpcds": """
        call_center.cc_closed_date_sk date_dim.d_date_sk; call_center.cc_open_date_sk date_dim.d_date_sk;
        catalog_page.cp_end_date_sk date_dim.d_date_sk; catalog_page.cp_start_date_sk date_dim.d_date_sk;
        catalog_returns.cr_call_center_sk call_center.cc_call_center_sk; catalog_returns.cr_catalog_page_sk
        catalog_page.cp_catalog_page_sk; catalog_returns.cr_item_sk item.i_item_sk; catalog_returns.cr_reason_sk
        reason.r_reason_sk; catalog_returns.cr_refunded_addr_sk customer_address.ca_address_sk;
        catalog_returns.cr_refunded_cdemo_sk customer_demographics.cd_demo_sk;
        catalog_returns.cr_refunded_customer_sk customer.c_customer_sk; catalog_returns.cr_refunded_hdemo_sk
        household_demographics.hd_demo_sk; catalog_returns.cr_returned_date_sk date_dim.d_date_sk;
        catalog_returns.cr_returned_time_sk time_dim.t_time_sk; catalog_returns.cr_returning_addr_sk
        customer_address.ca_address_sk; catalog_returns.cr_returning_cdemo_sk customer_demographics.cd_demo_sk;
        catalog_returns.cr_returning_customer_sk customer.c_customer_sk; catalog_returns.cr_returning_hdemo_sk
        household_demographics.hd_demo_sk; catalog_returns.cr_ship_mode_sk ship_mode.sm_ship_mode_sk;
        catalog_returns.cr_warehouse_sk warehouse.w_warehouse_sk; catalog_sales.cs_bill_addr_sk
        customer_address.ca_address_sk; catalog_sales.cs_bill_cdemo_sk customer_demographics.cd_demo_sk;
        catalog_sales.cs_bill_customer_sk customer.c_customer_sk; catalog_sales.cs_bill_hdemo_sk
        household_demographics.hd_demo_sk; catalog_sales.cs_call_center_sk call_center.cc_call_center_sk;
        catalog_sales.cs_catalog_page_sk catalog_page.cp_catalog_page_sk; catalog_sales.cs_item_sk
        item.i_item_sk; catalog_sales.cs_promo_sk promotion.p_promo_sk; catalog_sales.cs_ship_addr_sk
        customer_address.ca_address_sk; catalog_sales.cs_ship_cdemo_sk customer_demographics.cd_demo_sk;
        catalog_sales.cs_ship_customer_sk customer.c_customer_sk; catalog_sales.cs_ship_date_sk
        date_dim.d_date_sk; catalog_sales.cs_ship_hdemo_sk household_demographics.hd_demo_sk;
        catalog_sales.cs_ship_mode_sk ship_mode.sm_ship_mode_sk; catalog_sales.cs_sold_date_sk
        date_dim.d_date_sk; catalog_sales.cs_sold_time_sk time_dim.t_time_sk; catalog_sales.cs_warehouse_sk
        warehouse.w_warehouse_sk; customer.c_current_addr_sk customer_address.ca_address_sk;
        customer.c_current_cdemo_sk customer_demographics.cd_demo_sk; customer.c_current_hdemo_sk
        household_demographics.hd_demo_sk; customer.c_first_sales_date_sk date_dim.d_date_sk;
        customer.c_first_shipto_date_sk date_dim.d_date_sk; customer.c_last_review_date_sk date_dim.d_date_sk;
        household_demographics.hd_income_band_sk income_band.ib_income_band_sk; inventory.inv_date_sk
        date_dim.d_date_sk; inventory.inv_item_sk item.i_item_sk; inventory.inv_warehouse_sk
        warehouse.w_warehouse_sk; promotion.p_end_date_sk date_dim.d_date_sk; promotion.p_item_sk
        item.i_item_sk; promotion.p_start_date_sk date_dim.d_date_sk; store.s_closed_date_sk date_dim.d_date_sk;
        store_returns.sr_addr_sk customer_address.ca_address_sk; store_returns.sr_cdemo_sk
        customer_demographics.cd_demo_sk; store_returns.sr_customer_sk customer.c_customer_sk;
        store_returns.sr_hdemo_sk household_demographics.hd_demo_sk; store_returns.sr_item_sk item.i_item_sk;
        store_returns.sr_reason_sk reason.r_reason_sk; store_returns.sr_return_time_sk time_dim.t_time_sk;
        store_returns.sr_returned_date_sk date_dim.d_date_sk; store_returns.sr_store_sk store.s_store_sk;
        store_sales.ss_addr_sk customer_address.ca_address_sk; store_sales.ss_cdemo_sk
        customer_demographics.cd_demo_sk; store_sales.ss_customer_sk customer.c_customer_sk;
        store_sales.ss_hdemo_sk household_demographics.hd_demo_sk; store_sales.ss_item_sk item.i_item_sk;
        store_sales.ss_promo_sk promotion.p_promo_sk; store_sales.ss_sold_date_sk date_dim.d_date_sk;
        store_sales.ss_sold_time_sk time_dim.t_time_sk; store_sales.ss_store_sk store.s_store_sk;
        web_page.wp_access_date_sk date_dim.d_date_sk; web_page.wp_creation_date_sk date_dim.d_date_sk;
        web_page.wp_customer_sk customer.c_customer_sk; web_returns.wr_item_sk item.i_item_sk;
        web_returns.wr_reason_sk reason.r_reason_sk; web_returns.wr_refunded_addr_sk
        customer_address.ca_address_sk; web_returns.wr_refunded_cdemo_sk customer_demographics.cd_demo_sk;
        web_returns.wr_refunded_customer_sk customer.c_customer_sk; web_returns.wr_refunded_hdemo_sk
        household_demographics.hd_demo_sk; web_returns.wr_returned_date_sk date_dim.d_date_sk;
        web_returns.wr_returned_time_sk time_dim.t_time_sk; web_returns.wr_returning_addr_sk
        customer_address.ca_address_sk; web_returns.wr_returning_cdemo_sk customer_demographics.cd_demo_sk;
        web_returns.wr_returning_customer_sk customer.c_customer_sk; web_returns.wr_returning_hdemo_sk
        household_demographics.hd_demo_sk; web_returns.wr_web_page_sk web_page.wp_web_page_sk;
        web_sales.ws_bill_addr_sk customer_address.ca_address_sk; web_sales.ws_bill_cdemo_sk
        customer_demographics.cd_demo_sk; web_sales.ws_bill_customer_sk customer.c_customer_sk;
        web_sales.ws_bill_hdemo_sk household_demographics.hd_demo_sk; web_sales.ws_item_sk item.i_item_sk;
        web_sales.ws_promo_sk promotion.p_promo_sk; web_sales.ws_ship_addr_sk customer_address.ca_address_sk;
        web_sales.ws_ship_cdemo_sk customer_demographics.cd_demo_sk; web_sales.ws_ship_customer_sk
        customer.c_customer_sk; web_sales.ws_ship_date_sk date_dim.d_date_sk; web_sales.ws_ship_hdemo_sk
        household_demographics.hd_demo_sk; web_sales.ws_ship_mode_sk ship_mode.sm_ship_mode_sk;
        web_sales.ws_sold_date_sk date_dim.d_date_sk; web_sales.ws_sold_time_sk time_dim.t_time_sk;
        web_sales.ws_warehouse_sk warehouse.w_warehouse_sk; web_sales.ws_web_page_sk web_page.wp_web_page_sk;
        web_sales.ws_web_site_sk web_site.web_site_sk; web_site.web_close_date_sk date_dim.d_date_sk;
        web_site.web_open_date_sk date_dim.d_date_sk""",
}


def corpus_tables(corpora: Path) -> dict[str, TableFact]:
    found: dict[str, TableFact] = {}
    for path in sorted((corpora / "json-tables").glob("*/*.json")):
        for table in read_json(path.read_text(), path.name).tables:
            name = f"{path.parent.name.lower()}.{table.name}"
            found[name] = replace(table, name=name)
    for table in read_json((corpora / "tpcds-inserts" / "schema.json").read_text(), "schema.json").tables:
        found[f"tpcds.{table.name}"] = replace(table, name=f"tpcds.{table.name}")
    return found


def pairs(keys: Mapping[str, tuple[ForeignKey, ...]], database: str) -> set[tuple[str, str]]:
    return {
        (f"{table}.{key.columns[0]}", f"{key.table}.{key.references[0]}")
        for table, found in keys.items()
        for key in found
        if table.startswith(f"{database}.")
    }


@pytest.mark.corpora
def test_inferred_keys__four_documented_schemas__precision_and_recall(corpora: Path) -> None:
    tables = corpus_tables(corpora)
    keys = infer_foreign_keys(tables)
    right = found_in_all = documented_in_all = 0
    for database, text in DOCUMENTED.items():
        documented = {
            (f"{database}.{child}", f"{database}.{parent}")
            for child, parent in (entry.split() for entry in text.split(";"))
        }
        for child, _ in documented:  # the list itself must be about columns that exist
            table, _, column = child.rpartition(".")
            assert column in {c.name for c in tables[table].columns}, child
        found = {pair for pair in pairs(keys, database) if not pair[0].startswith("pagila.sales_by")}
        right += len(found & documented)
        found_in_all += len(found)
        documented_in_all += len(documented)
    assert right / found_in_all >= 0.97
    assert right / documented_in_all >= 0.8


def table(name: str, *columns: ColumnFact, **more: object) -> TableFact:
    return TableFact(name, NodeKind.TABLE, tuple(replace(c, ordinal=i) for i, c in enumerate(columns)), **more)  # type: ignore[arg-type]


def infer(*tables: TableFact) -> set[tuple[str, str]]:
    return pairs(infer_foreign_keys({t.name: t for t in tables}), "db")


CUSTOMERS = table("db.customers", ColumnFact("id", "int"), ColumnFact("name", "string"))


def test_key__named_id__is_found_through_the_tables_name() -> None:
    orders = table("db.orders", ColumnFact("id", "int"), ColumnFact("customer_id", "int"))
    assert infer(CUSTOMERS, orders) == {("db.orders.customer_id", "db.customers.id")}


def test_key__of_another_type__is_no_match() -> None:
    orders = table("db.orders", ColumnFact("id", "int"), ColumnFact("customer_id", "string"))
    assert infer(CUSTOMERS, orders) == set()


def test_key__in_another_database__is_no_match() -> None:
    orders = table("db.orders", ColumnFact("id", "int"), ColumnFact("customer_id", "int"))
    assert infer(replace(CUSTOMERS, name="other.customers"), orders) == set()


def test_key__declared__is_not_repeated() -> None:
    declared = (ForeignKey(("customer_id",), "db.customers", ("id",)),)
    orders = table("db.orders", ColumnFact("id", "int"), ColumnFact("customer_id", "int"), foreign_keys=declared)
    assert infer(CUSTOMERS, orders) == set()


def test_key__values_that_repeat__are_no_key() -> None:
    repeated = ColumnFact("id", "int", statistics={"rows": 10, "distinct": 3})
    orders = table("db.orders", ColumnFact("customer_id", "int"))
    assert infer(table("db.customers", repeated), orders) == set()


def test_overlap__of_values__raises_and_its_absence_in_full_tables_lowers() -> None:
    def confidence(child: list[str], parent: list[str], rows: int) -> float:
        key = ColumnFact("id", "int", statistics={"rows": rows, "distinct": rows, "sketch": parent})
        referring = ColumnFact("customer_id", "int", statistics={"rows": rows, "sketch": child})
        found = infer_foreign_keys({t.name: t for t in (table("db.customers", key), table("db.orders", referring))})
        return found["db.orders"][0].confidence if found else 0.0

    unknown = confidence(["a"], ["b"], 5)
    assert confidence(["a", "b"], ["a", "b", "c"], 5) > unknown > confidence(["x"], ["a", "b"], 50)


def test_inference__two_thousand_tables__takes_linear_work() -> None:
    tables = [
        table(f"db.entity{i}", ColumnFact("id", "int"), ColumnFact(f"entity{i // 2}_id", "int")) for i in range(2_000)
    ]
    assert len(infer(*tables)) >= 1_900
